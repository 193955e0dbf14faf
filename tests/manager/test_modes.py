"""Managers that are not root: with three capabilities, and with none."""

import os
import shutil
import signal
import subprocess

import monitor_table as table
import pytest
from monitor_harness import MAPPED, is_alive, is_sanitized, needs_root, wait_ready

pytestmark = needs_root

OWN = "email: a@example.org\n"


def owned_by(manager, account):
    for path in [manager.dir, *manager.dir.iterdir()]:
        os.chown(path, account.uid, account.gid)
    manager.user = account.name
    return manager


@pytest.fixture
def capable(make_manager, ada):
    """The manager runs as ada with CAP_SETUID, CAP_SETGID and CAP_KILL; no uid 0 anywhere."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    caps = "+setuid,+setgid,+kill"
    wrapper = ["setpriv", "--reuid", str(ada.uid), "--regid", str(ada.gid), "--clear-groups",
               "--inh-caps", caps, "--ambient-caps", caps, "--bounding-set", "-all," + caps]
    manager = owned_by(make_manager(MAPPED, wrapper=wrapper), ada)
    manager.user = None  # the wrapper changes it
    return manager


def test_capabilities_alone(capable, ada, bob):
    c = capable.begin()
    assert c.hello.privileged and c.hello.can_change_user and c.hello.local_user == ada.name
    status = dict(line.split(":\t", 1) for line in c.self["status"].splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["65534"] * 4 and int(status["CapEff"], 16) == 0
    pid = c.started(bob.name, "uep.1", blob=capable.blob("p")).pid
    seen = capable.probe("p")
    assert seen["uid"] == f"{bob.uid} {bob.uid} {bob.uid}"
    assert seen["gid"] == f"{bob.gid} {bob.gid} {bob.gid}"
    assert sorted(map(int, seen["groups"].split())) == sorted(os.getgrouplist(bob.name, bob.gid))
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(seen["status"][name], 16) == 0, name
    assert seen["status"]["NoNewPrivs"] == "1" and seen["env"] == []
    assert sorted(seen["fd"]) == [0, 1, 2, 3, 5, 6, 7, 9]
    assert c.failed(ada.name, "uep.1", request=2).code == table.SAME_USER
    assert c.failed("root", "uep.1", request=3).code == table.SAME_USER
    # It can stop what is another's.
    stubborn = c.started(bob.name, "uep.2", request=4, blob=capable.blob("q", mode="stubborn")).pid
    for one in (pid, stubborn):
        wait_ready(one)
    capable.process.send_signal(signal.SIGTERM)
    c.expect(table.STOP)
    c.sock.close()
    assert capable.process.wait(20) == 0
    assert not is_alive(pid) and not is_alive(stubborn)


def test_capabilities_and_adoption(capable, bob):
    c = capable.begin()
    pid = c.started(bob.name, "uep.1").pid
    wait_ready(pid)
    capable.process.kill()
    capable.process.wait()
    c = capable.begin()
    c.start(bob.name, "uep.1")
    assert c.expect(table.RUNNING, table.STARTED, table.FAILED).pid == pid
    # It may not look into the process: the credentials stay as they are, and the log says so.
    c.send(table.start(bob.name, "uep.1", type_=table.REFRESH), [table.sealed(b"new")])
    assert c.expect(table.REFRESHED).code == 0
    capable.wait_log("can't be renewed")
    capable.process.send_signal(signal.SIGTERM)
    c.expect(table.STOP)
    c.sock.close()
    assert capable.process.wait(20) == 0 and not is_alive(pid)


def test_the_same_user(make_manager, ada, bob):
    manager = owned_by(make_manager(OWN), ada)
    c = manager.begin(env={"PATH": "/bin", "GLOBUS_COMPUTE_CLIENT_SECRET": "secret", "KEEP": "1"})
    assert not c.hello.privileged and not c.hello.can_change_user
    assert c.hello.local_user == ada.name
    pid = c.started(ada.name, "uep.1", blob=manager.blob("p")).pid
    seen = manager.probe("p")
    assert seen["uid"] == f"{ada.uid} {ada.uid} {ada.uid}"
    assert int(seen["pid"]) == int(seen["sid"]) == int(seen["pgid"]) == pid
    assert sorted(seen["env"]) == ["KEEP=1", "PATH=/bin"]  # the secret stays here
    assert sorted(seen["fd"]) == [0, 1, 2, 3, 5, 6, 7, 9]
    assert c.failed(bob.name, "uep.1", request=2).code == table.BAD_ACCOUNT
    assert c.failed("root", "uep.1", request=3).code == table.BAD_ACCOUNT
    wait_ready(pid)
    os.kill(pid, signal.SIGTERM)
    assert c.expect(table.EXITED).code == 0


def test_mapping_without_privilege_is_ignored(make_manager, ada):
    manager = owned_by(make_manager(OWN + "identity_mapping_config_path: map.json\n"), ada)
    c = manager.begin()
    assert "`identity_mapping_config_path` specified, but process is not privileged" in manager.log()
    assert "(ignored) 'map.json'" in manager.log()
    c.started(ada.name, "uep.1")


def test_fork_that_fails(make_manager, ada):
    if is_sanitized():
        pytest.skip("the sanitizer's run time forks by itself")
    # Two processes of this user: the manager and its listener.
    manager = owned_by(make_manager(OWN, wrapper=["prlimit", "--nproc=2:"]), ada)
    c = manager.begin()
    answer = c.failed(ada.name, "uep.1")
    assert answer.code == table.CANT_FORK and "fork" in answer.admin_text
    assert "try again later" in answer.user_text
    assert manager.process.poll() is None


def test_descriptors_that_run_out(make_manager, ada):
    manager = make_manager()
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    used = len(os.listdir(f"/proc/{manager.process.pid}/fd"))
    for more in range(2, 14):
        limit = f"--nofile={used + more}:"
        subprocess.run(["prlimit", f"--pid={manager.process.pid}", limit], check=True)
        c.start(ada.name, f"uep.x{more}", request=more)
        answer = c.expect(table.STARTED, table.FAILED)
        if answer.type == table.FAILED:
            assert answer.code in (table.CANT_FORK, 70, table.BAD_GRANT, table.DIED), vars(answer)
        else:
            os.kill(answer.pid, signal.SIGKILL)
            c.expect(table.EXITED)
    subprocess.run(["prlimit", f"--pid={manager.process.pid}", "--nofile=1000:"], check=True)
    c.started(ada.name, "uep.2", request=99)
    assert is_alive(pid)
    assert manager.process.poll() is None
