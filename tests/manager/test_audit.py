"""The audit log: exact lines, a chain that shows tampering, a disk that is full."""

import ctypes
import os
import json
import re
import signal
import subprocess
import time

import monitor_harness
import monitor_table as table
import pytest
from monitor_harness import MAPPED, needs_root, wait_ready, wait_until

pytestmark = needs_root

ID = "0a0b0c0d-1111-2222-3333-444444444444"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d"


def audit_pipe(pid):
    """The user endpoint's own descriptor 4, which is in packet mode; not blocking from now on."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    pidfd = os.pidfd_open(pid)
    fd = syscall(438, pidfd, 4, 0)  # pidfd_getfd
    os.close(pidfd)
    assert fd >= 0, os.strerror(ctypes.get_errno())
    os.set_blocking(fd, False)
    return fd


def write_pipe(pid, text):
    fd = audit_pipe(pid)
    try:
        return os.write(fd, text)
    finally:
        os.close(fd)


def stop(manager, c):
    manager.process.send_signal(signal.SIGTERM)
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(15) == 0


@pytest.mark.parametrize("style,word", [(MAPPED, "MEP"), (
    "email: a@example.org\nidentity_mapping_config_path: map.json\n", "CEP")])
def test_lines(make_manager, ada, style, word):
    manager = make_manager(style + "audit_log_path: audit.log\n")
    c = manager.begin()
    pid = c.started(ada.name, "uep.1", id_=ID).pid
    other = c.started(ada.name, "uep.2", request=2).pid
    for one in (pid, other):
        wait_ready(one)
    write_pipe(pid, b"fid=f tid=t bid=b RECEIVED")
    write_pipe(pid, b"fid=f tid=t\nbid=b\r FAILED - no\0thing")
    write_pipe(other, b"x" * 4096)
    os.kill(other, signal.SIGKILL)
    c.expect(table.EXITED)
    stop(manager, c)
    lines = (manager.dir / "audit.log").read_text().splitlines()
    own = f"uid=0 pid={manager.process.pid} eid={manager.id}"
    uep = f"uid={ada.uid} pid={pid} uep={ID}"
    wanted = [
        f"{own} Begin {word} session =====",
        f"{uep} fid=f tid=t bid=b RECEIVED",
        f"{uep} fid=f tid=t bid=b FAILED - nothing",
        f"uid={ada.uid} pid={other} uep=uep.2 " + "x" * 4096,
        f"{own} End {word} session -----",
    ]
    assert len(lines) == len(wanted)
    for line in lines:
        time_, rest = line.split(" ", 1)
        assert re.fullmatch(TIME, time_) and rest in wanted
    assert (manager.dir / "audit.log").stat().st_mode & 0o777 == 0o600


def verify(*argv):
    program = monitor_harness.program("monitor").parents[2] / "bin" / "sallyport"
    if not program.exists():
        program = monitor_harness.BUILD / "src/cli/sallyport/sallyport"
    return subprocess.run([program, "audit", "verify", *argv], capture_output=True, text=True)


def test_chain(make_manager, ada):
    manager = make_manager(
        MAPPED + "audit_log_path: audit.log\nsallyport: {audit_hash_chain: true}\n"
    )
    path = manager.dir / "audit.log"
    for _ in range(2):
        c = manager.begin()
        pid = c.started(ada.name, "uep.1").pid
        wait_ready(pid)
        write_pipe(pid, b"tid=1 RECEIVED")
        stop(manager, c)
    done = verify(path)
    assert done.returncode == 0 and "6 lines, 6 in the chain" in done.stdout
    last = done.stdout.split()[-1]
    assert f"Last hash of the audit log: {last}" in manager.log()
    assert verify("--last", last, path).returncode == 0
    report = json.loads(verify(path, "--json").stdout)
    assert report["ok"] and report["files"][0]["chained"] == 6 and report["files"][0]["last"] == last
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    assert verify(path).returncode == 0
    done = verify("--last", last, path)
    assert done.returncode == 1 and "lines at the end are missing" in done.stderr
    path.write_text(whole)
    path.write_text(path.read_text().replace("tid=1", "tid=2", 1))
    done = verify(path)
    assert done.returncode == 1 and "line 2 does not follow" in done.stderr
    report = json.loads(verify(path, "--json").stdout)
    assert not report["ok"] and "line 2 does not follow" in report["error"]


def test_full_disk(make_manager, ada, small_disk):
    manager = make_manager(MAPPED + f"audit_log_path: {small_disk}/audit.log\n")
    c = manager.begin()
    pid = c.started(ada.name, "uep.1", id_=ID).pid
    wait_ready(pid)
    monitor_harness.fill(small_disk / "filler")
    # No new user endpoint, with a reason; the one that runs is still there.
    answer = c.failed(ada.name, "uep.2", request=2)
    assert answer.code == table.LIMIT and "full" in answer.admin_text
    assert "audit" not in answer.user_text
    c.start(ada.name, "uep.1", request=3)
    assert c.expect(table.RUNNING, table.FAILED).type == table.RUNNING
    # What it has to say is kept, and it is held back when its pipe is full.
    sent = 0
    try:
        for sent in range(100000):
            write_pipe(pid, b"line %06d " % sent + b"y" * 400)
    except BlockingIOError:
        pass
    manager.wait_log("Failed to write audit log message")
    assert sent > 10
    before = (small_disk / "audit.log").read_text()
    assert before.endswith("\n")
    (small_disk / "filler").unlink()
    manager.wait_log("The audit log can be written again")
    wait_until(lambda: f"line {sent - 1:06d}" in (small_disk / "audit.log").read_text())
    numbers = re.findall(r" line (\d{6}) ", (small_disk / "audit.log").read_text())
    assert numbers == [f"{i:06d}" for i in range(sent)]  # all, once, in order
    c.started(ada.name, "uep.2", request=4)


def test_cannot_be_opened(make_manager):
    manager = make_manager(MAPPED + "audit_log_path: /dev/null/audit.log\n")
    assert manager.spawn().process.wait(10) == 1
    assert "/dev/null/audit.log" in manager.said()


def test_moved_away(make_manager, ada):
    manager = make_manager(MAPPED + "audit_log_path: audit.log\n")
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    wait_ready(pid)
    (manager.dir / "audit.log").rename(manager.dir / "audit.log.1")
    manager.process.send_signal(signal.SIGHUP)
    wait_until((manager.dir / "audit.log").exists)
    time.sleep(0.1)
    write_pipe(pid, b"after")
    wait_until(lambda: " after\n" in (manager.dir / "audit.log").read_text())


def test_adopted_ones_go_on_writing(make_manager, ada):
    manager = make_manager(MAPPED + "audit_log_path: audit.log\n")
    c = manager.begin()
    pid = c.started(ada.name, "uep.1", id_=ID).pid
    wait_ready(pid)
    manager.process.kill()
    manager.process.wait()
    manager.begin()
    write_pipe(pid, b"still here")
    wait_until(
        lambda: f"uid={ada.uid} pid={pid} uep={ID} still here\n"
        in (manager.dir / "audit.log").read_text()
    )
