"""top: who is asked, as whom, and what becomes of odd answers.  Real user endpoints: tests/whole."""

import contextlib
import json
import os
import pathlib
import pty
import re
import select
import socket
import subprocess
import threading
import time

STATUS = {
    "endpoint_id": "0a1b2c3d-0000-4000-8000-00000000000f", "pid": 77, "phase": "running",
    "now": 1000.0, "started": 1000.0 - 3723, "engine": "GlobusComputeEngine", "provider": "SlurmProvider",
    "taking_tasks": True, "publishing": True, "workers": 8, "idle_workers": 3, "max_blocks": 4,
    "tasks": {"waiting": 12, "on_nodes": 5, "results_unconfirmed": 0, "received_total": 40,
              "submitted_total": 40, "confirmed_total": 23},
    "blocks": [{"id": "0", "job_id": "4711", "state": "RUNNING", "since": 940.0},
               {"id": "1", "job_id": "4712", "state": "PENDING", "since": 999.0, "note": "(Priority)"}],
    "nodes": [{"id": "n", "block": "0", "host": "c1", "workers": 8, "tasks": 5}],
}


@contextlib.contextmanager
def answering(folder, answer):
    """A status.sock that gives the bytes to everybody; None: it never answers."""
    folder.mkdir(parents=True, exist_ok=True)
    where = os.open(folder, os.O_RDONLY)
    peers, seen = [], []
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"/proc/self/fd/{where}/status.sock")
        os.chmod(folder / "status.sock", 0o666)
        s.listen()
        s.settimeout(0.1)
        end = threading.Event()

        def serve():
            while not end.is_set():
                try:
                    peer = s.accept()[0]
                except TimeoutError:
                    continue
                credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                seen.append(int.from_bytes(credentials[4:8], "little"))
                if answer is None:
                    peers.append(peer)
                    continue
                with contextlib.suppress(OSError), peer:
                    peer.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield seen
        finally:
            end.set()
            thread.join()
            for peer in peers:
                peer.close()
            os.close(where)


def start_time(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def child(folder, process, name, uid, gid, user, began=None):
    """The state file of a manager, with one user endpoint."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    state = folder / "children.state"
    state.write_text(f"boot\t{boot}\n+\t{process.pid}\t{began or start_time(process.pid)}\t{uid}\t{gid}\t1\t2\t{user}"
                     f"\t{name}\ta-secret-key\t{STATUS['endpoint_id']}\tprogram\n")
    state.chmod(0o600)


def test_nothing_configured(ours):
    done = ours("top")
    assert (done.code, done.err) == (0, "") and "No endpoints configured!" in done.out
    assert json.loads(ours("top", "--json").out)["endpoints"] == []


def test_no_such_endpoint(ours):
    done = ours("top", "nobody")
    assert done.code == 1 and "Failed to find endpoint configuration" in done.err


def test_own(ours):
    ours.endpoint("ep", endpoint_id=STATUS["endpoint_id"], pid_age=1)
    with answering(ours.base / "ep", STATUS):
        done = ours("top", "ep", "--once")
        assert done.code == 0, done.err
        document = json.loads(ours("top", "ep", "--json").out)
        assert "1 user endpoint " in ours("top").out
    assert "1 user endpoint  2 blocks  1 node  workers 5 busy of 8  tasks 12 waiting, 5 on nodes" in done.out
    assert re.search(r"block 0 +job 4711 +RUNNING +0:01:00  1 node, 8 workers, 5 tasks\n", done.out)
    assert re.search(r"block 1 +job 4712 +PENDING +0:00:01  0 nodes, 0 workers, 0 tasks  \(Priority\)\n", done.out)
    assert re.search(r" 77 running +1:02:03 +2/4 +1 +5/8 +12 +5 +23 ", done.out)
    assert "\x1b" not in done.out
    (site,) = document["endpoints"]
    assert site["name"] == "ep" and site["status"] == "Running"
    assert site["user_endpoints"][0]["status"] == STATUS


def test_as_the_account(ours, accounts):
    """Root asks for a mapped user as that user, in the user's home."""
    account = accounts.get("watched")
    folder = ours.endpoint("ep", endpoint_id=STATUS["endpoint_id"])
    home = account.home / ".globus_compute" / "uep"
    process = subprocess.Popen(["sleep", "60"], env={"HOME": str(account.home)})
    try:
        child(folder, process, "uep", account.uid, account.gid, account.name)
        with answering(home, STATUS) as asked_by:
            done = ours("top", "ep", "--json")
            listed = json.loads(ours("list", "--json").out)
        (uep,) = json.loads(done.out)["endpoints"][0]["user_endpoints"]
        assert uep["error"] is None and uep["status"]["phase"] == "running"
        assert (uep["user"], uep["uid"], uep["pid"]) == (account.name, account.uid, process.pid)
        assert set(asked_by) == {account.uid}
        assert "a-secret-key" not in done.out
        assert listed[0]["user_endpoints"] == 1
        child(folder, process, "uep", account.uid, account.gid, account.name, began="1")
        assert json.loads(ours("top", "ep", "--json").out)["endpoints"][0]["user_endpoints"] == []
    finally:
        process.kill()
        process.wait()


def test_state_of_somebody_else(ours, accounts):
    account = accounts.get("watched")
    folder = ours.endpoint("ep")
    (folder / "children.state").write_text("boot\tx\n")
    os.chown(folder / "children.state", account.uid, account.gid)
    done = ours("top", "ep")
    assert done.code == 0 and "is not a file of this account" in done.out


def test_odd_answers(ours):
    rude = {**STATUS, "phase": "\x1b[2Jé", "endpoint_id": "\x1b]0;title\x07"}
    answers = {"rude": rude, "broken": b'{"phase": ', "list": b"[1]\n", "huge": b"x" * (2 << 20), "types": {
        "blocks": 5, "nodes": [7, None], "tasks": "many", "workers": {}, "now": "soon"}}
    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(answering(ours.base / name, answer))
        done = ours("top", "--once")
        document = json.loads(ours("top", "--json").out)
    assert done.code == 0, done.err
    assert "\x1b" not in done.out and "\x07" not in done.out
    said = {u["name"]: u["error"] for u in document["endpoints"][0]["user_endpoints"]}
    assert said["rude"] is None and said["types"] is None
    assert said["list"] == "its answer is not an object"
    assert said["broken"] and said["huge"]


def test_slow_one_holds_nobody_up(ours):
    with answering(ours.base / "slow", None), answering(ours.base / "quick", STATUS):
        began = time.monotonic()
        document = json.loads(ours("top", "--json").out)
        assert time.monotonic() - began < 20
    said = {u["name"]: u["error"] for u in document["endpoints"][0]["user_endpoints"]}
    assert said == {"slow": "no answer within 2 s", "quick": None}


def test_dead_socket(ours):
    with answering(ours.base / "gone", STATUS):
        pass
    assert "status.sock does not answer: Connection refused" in ours("top").out


def on_terminal(program, *argv, keys=b"q"):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(program.path, [str(program.path), *argv], {**program.environment, "TERM": "xterm"})
    out, pressed, end = b"", False, time.monotonic() + 30
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        out += part
        if not pressed and out.count(b"q quits") == 2:
            os.write(terminal, keys)
            pressed = True
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out.decode()


def test_live(ours):
    with answering(ours.base / "uep", STATUS):
        code, out = on_terminal(ours, "top")
        assert code == 0 and out.startswith("\x1b[?1049h\x1b[?25l") and out.endswith("\x1b[?25h\x1b[?1049l")
        assert "\x1b[1m1 user endpoint" in out and "block 0" in out
        code, out = on_terminal(ours, "top", "--no-color", keys=b"\x03")
        assert code == 0 and "\x1b[1m" not in out and out.endswith("\x1b[?25h\x1b[?1049l")
