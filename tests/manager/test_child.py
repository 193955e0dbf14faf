"""What a user endpoint is given, exactly."""

import grp
import os
import signal
import subprocess

import monitor_table as table
from monitor_harness import is_alive, needs_root, wait_ready, wait_until

pytestmark = needs_root

FULL = "000001fffeffffff"


def groups_of(account):
    return sorted(os.getgrouplist(account.name, account.gid))


def check_identity(seen, account):
    uid, gid = account.uid, account.gid
    assert seen["uid"] == f"{uid} {uid} {uid}"
    assert seen["gid"] == f"{gid} {gid} {gid}"
    assert sorted(map(int, seen["groups"].split())) == groups_of(account)


def test_state_at_the_exec_of_prepare(manager, ada):
    c = manager.begin()
    answer = c.started(ada.name, "uep.1", blob=manager.blob("p"))
    seen = manager.probe("p")
    check_identity(seen, ada)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(seen["status"][name], 16) == 0, name
    assert seen["status"]["NoNewPrivs"] == "1"
    for name in ("SigBlk", "SigIgn", "SigCgt"):
        assert int(seen["status"][name], 16) == 0, name
    assert int(seen["pid"]) == int(seen["sid"]) == int(seen["pgid"]) == answer.pid
    assert int(seen["ppid"]) == manager.process.pid
    assert seen["umask"] == "77" and seen["cwd"] == "/" and seen["core"] == "0"
    assert seen["env"] == []
    fds = seen["fd"]
    assert sorted(fds) == [0, 1, 2, 3, 5, 6, 7, 9]  # no audit log, no user_environment.yaml
    assert fds[0] == ("/dev/null", os.O_RDWR)
    assert fds[1] == fds[2] and fds[1][0].startswith("pipe:") and fds[1][1] == os.O_WRONLY
    assert fds[3][0].startswith("/memfd:dyn") and fds[3][1] == os.O_RDONLY
    assert fds[5][0].startswith("/memfd:")
    assert fds[6] == (f"{manager.dir}/user_config_template.yaml.j2", os.O_RDONLY)
    assert fds[7] == (f"{manager.dir}/user_config_schema.json", os.O_RDONLY)
    assert fds[9][0].startswith("pipe:") and fds[9][1] == os.O_WRONLY


def test_supplementary_groups_are_the_databases(manager, ada):
    group = f"sallyport-g-{os.getpid()}"
    subprocess.run(["groupadd", group], check=True)
    try:
        subprocess.run(["gpasswd", "-a", ada.name, group], check=True, capture_output=True)
        c = manager.begin()
        c.started(ada.name, "uep.1", blob=manager.blob("p"))
        assert grp.getgrnam(group).gr_gid in groups_of(ada)
        check_identity(manager.probe("p"), ada)
    finally:
        subprocess.run(["groupdel", group], check=True)


def test_audit_and_environment_descriptors(make_manager, ada):
    manager = make_manager(
        "multi_user: true\nidentity_mapping_config_path: map.json\naudit_log_path: audit.log\n"
    )
    (manager.dir / "user_environment.yaml").write_text("A: b\n")
    c = manager.begin()
    c.started(ada.name, "uep.1", blob=manager.blob("p"))
    fds = manager.probe("p")["fd"]
    assert sorted(fds) == list(range(10))
    assert fds[4][0].startswith("pipe:") and fds[4][1] == os.O_WRONLY
    assert fds[8] == (f"{manager.dir}/user_environment.yaml", os.O_RDONLY)


def test_knob_no_new_privs(make_manager, ada):
    manager = make_manager(
        "multi_user: true\nidentity_mapping_config_path: map.json\n"
        "sallyport: {no_new_privs: false}\n"
    )
    c = manager.begin()
    c.started(ada.name, "uep.1", blob=manager.blob("p"))
    status = manager.probe("p")["status"]
    assert status["NoNewPrivs"] == "0"
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert int(status["CapBnd"], 16) != 0  # setuid batch tools need their capabilities


def test_credentials_are_readable_and_renewed_in_place(manager, ada):
    c = manager.begin()
    pid = c.started(ada.name, "uep.1", key="the key", token=b"first token").pid
    path = f"/proc/{pid}/fd/3"

    def content():
        with open(path, "rb") as f:
            return f.read()

    assert content() == b"first token"
    assert os.stat(path).st_mode & 0o777 == 0o444 and os.stat(path).st_uid == 0
    before = os.stat(path).st_ino
    # As its user it can't be opened for writing.
    done = subprocess.run(["sh", "-c", f"echo x > {path}"], user=ada.uid, capture_output=True)
    assert done.returncode != 0
    # The same again: nothing is started, the key is told, and the credentials can be renewed.
    c.start(ada.name, "uep.1", request=2, token=b"second")
    answer = c.expect(table.RUNNING, table.STARTED, table.FAILED)
    assert (answer.type, answer.request, answer.pid) == (table.RUNNING, 2, pid)
    assert answer.key == "the key" and content() == b"first token"
    c.send(
        table.start(ada.name, "uep.1", request=3, type_=table.REFRESH), [table.sealed(b"new one")]
    )
    answer = c.expect(table.REFRESHED)
    assert (answer.request, answer.code) == (3, 0)
    assert content() == b"new one" and os.stat(path).st_ino == before
    c.send(
        table.start(ada.name, "uep.other", request=4, type_=table.REFRESH), [table.sealed(b"x")]
    )
    answer = c.expect(table.REFRESHED)
    assert (answer.request, answer.code) == (4, 1)


def test_two_users_with_one_name(manager, ada, bob):
    c = manager.begin()
    first = c.started(ada.name, "uep.1", token=b"ada's")
    second = c.started(bob.name, "uep.1", request=2, token=b"bob's")
    assert first.pid != second.pid
    c.send(
        table.start(bob.name, "uep.1", request=3, type_=table.REFRESH), [table.sealed(b"bob's new")]
    )
    assert c.expect(table.REFRESHED).code == 0
    assert open(f"/proc/{first.pid}/fd/3").read() == "ada's"
    assert open(f"/proc/{second.pid}/fd/3").read() == "bob's new"


def test_a_request_during_the_start_waits_for_it(manager, ada):
    c = manager.begin()
    for request in (1, 2, 3):
        c.start(ada.name, "uep.1", request=request)
    answers = [c.expect(table.STARTED, table.RUNNING, table.FAILED) for _ in range(3)]
    assert [a.type for a in answers] == [table.STARTED, table.RUNNING, table.RUNNING]
    assert len({a.pid for a in answers}) == 1


def test_ends(manager, ada):
    c = manager.begin()
    for number, (mode, log, status) in enumerate(
        (
            ("exit0", "Command stopped normally (%d)", 0),
            ("exit3", "Command return code: 3 (%d)", 3 << 8),
            ("sleep", "Command terminated by signal: 9 (%d)", 9),
        )
    ):
        name = f"uep.{number}"
        pid = c.started(ada.name, name, request=number, blob=manager.blob(f"p{number}", mode=mode)).pid
        if mode == "sleep":
            os.kill(pid, signal.SIGKILL)
        gone = c.expect(table.EXITED)
        assert (gone.pid, gone.name, gone.code) == (pid, name, status)
        manager.wait_log(log % pid + f" [({ada.name}, {name}) globus-compute-endpoint")
        assert not is_alive(pid)
    # It can be started again.
    c.started(ada.name, "uep.0", request=9)


def test_failures_before_the_exec(manager, ada):
    c = manager.begin()
    answer = c.failed(ada.name, "uep.1", blob=manager.blob("p1", act="fail", mode="77"))
    assert answer.code == 77
    assert answer.user_text == "(ValidationError) the user's text"
    assert answer.admin_text == "the administrator's|text"  # no line of its own in the log
    manager.wait_log(f"Unable to start user endpoint process for {ada.name} [exit code: 77; ")
    answer = c.failed(ada.name, "uep.1", request=2, blob=manager.blob("p2", act="signal", mode="9"))
    assert answer.code == table.DIED and "signal 9" in answer.admin_text
    answer = c.failed(ada.name, "uep.1", request=3, blob=manager.blob("p3", act="nonsense"))
    assert answer.code == table.DIED
    answer = c.failed(ada.name, "uep.1", request=4, blob=manager.blob("p4", act="exit", mode="127"))
    assert answer.code == table.DIED and "exit code 127" in answer.admin_text
    pid = int(manager.probe("p3")["pid"])
    wait_until(lambda: not is_alive(pid))


def test_log_lines_of_the_child_are_cleaned_and_bounded(manager, ada):
    c = manager.begin()
    c.started(ada.name, "uep.1", blob=manager.blob("p", act="talk"))
    lines = [line for line in manager.log().splitlines() if "line " in line]
    assert 100 <= len(lines) <= 400
    assert f"({ada.name}, uep.1) [request req-1] line 0 ?[31m" in lines[0]


def test_stop_kills_what_does_not_want_to_go(manager, ada, bob):
    c = manager.begin()
    stubborn = c.started(ada.name, "uep.1", blob=manager.blob("p1", mode="stubborn")).pid
    family = c.started(bob.name, "uep.2", request=2, blob=manager.blob("p2", mode="family")).pid
    polite = c.started(bob.name, "uep.3", request=3, blob=manager.blob("p3")).pid
    for pid in (stubborn, family, polite):
        wait_ready(pid)
    grandchild = wait_until(
        lambda: open(f"/proc/{family}/task/{family}/children").read().split()
    )[0]
    wait_ready(int(grandchild))
    manager.process.send_signal(signal.SIGTERM)
    c.expect(table.STOP)
    c.sock.close()
    # A start that comes now is too late, and nothing of it is left either.
    assert manager.process.wait(15) == 0
    for pid in (stubborn, family, polite, int(grandchild)):
        assert not is_alive(pid)
    log = manager.log()
    assert f"Signaling shutdown of user endpoint (PID: {polite}, PGID: {polite}, UID: {bob.uid}, " in log
    assert f"Forcibly killing of user endpoint (PID: {stubborn}" in log
    assert f"Forcibly killing of user endpoint (PID: {polite}" not in log
    assert not (manager.dir / "children.state").exists()


def test_many_at_once(manager, ada, bob):
    c = manager.begin()
    n = 200
    for i in range(n):
        c.start((ada, bob)[i % 2].name, f"uep.{i}", request=i)
    pids = {}
    while len(pids) < n:
        answer = c.expect(table.STARTED, table.FAILED)
        assert answer.type == table.STARTED, vars(answer)
        pids[answer.request] = answer.pid
    assert sorted(pids) == list(range(n)) and len(set(pids.values())) == n
    manager.process.send_signal(signal.SIGTERM)
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(15) == 0
    assert not any(is_alive(pid) for pid in pids.values())
