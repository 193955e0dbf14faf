"""PAM: order, as whom, until when; and what a refusal looks like."""

import errno
import os
import pathlib
import shutil
import signal

import monitor_harness
import monitor_table as table
import pytest
from monitor_harness import is_alive, needs_root, wait_ready, wait_until

pytestmark = [
    needs_root,
    pytest.mark.skipif(
        not list(pathlib.Path("/").glob("lib/*/security/pam_exec.so")), reason="no pam_exec"
    ),
]

SERVICE = f"sallyport-test-p{os.getpid()}"


@pytest.fixture
def pam(top):
    """Writes the service's file; what its probes record comes back line by line."""
    record = top / "pam-record"
    record.unlink(missing_ok=True)
    probe = top / "pam-probe"
    probe.write_text(
        f'#!/bin/sh\necho "$PAM_TYPE $PAM_SERVICE $PAM_USER $(id -u) $(id -g)" >> {record}\n'
    )
    probe.chmod(0o755)
    path = pathlib.Path("/etc/pam.d") / SERVICE

    class Pam:
        def write(self, auth="pam_permit.so", account="", session=""):
            path.write_text(
                f"auth required {auth}\n"
                f"account required pam_exec.so {probe}\n{account}"
                f"session required pam_exec.so {probe}\n{session}"
            )

        def lines(self):
            return record.read_text().splitlines() if record.exists() else []

    yield Pam()
    path.unlink(missing_ok=True)


@pytest.fixture
def manager(make_manager, pam):
    return make_manager(monitor_harness.MAPPED + f"pam: {{service_name: {SERVICE}}}\n")


def line(type_, account):
    return f"{type_} {SERVICE} {account.name} 0 0"


def keepers():
    """Processes of our session program that are left."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe").endswith("/libexec/sallyport/session"):
                found.append(int(pid))
        except OSError:
            pass
    return found


def test_order_and_life(manager, pam, ada):
    pam.write()
    before = set(keepers())
    c = manager.begin()
    pid = c.started(ada.name, "uep.1", blob=manager.blob("p")).pid
    seen = manager.probe("p")
    assert int(seen["pid"]) == pid and int(seen["ppid"]) == manager.process.pid
    assert seen["uid"] == f"{ada.uid} {ada.uid} {ada.uid}"
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(seen["status"][name], 16) == 0
    assert seen["status"]["NoNewPrivs"] == "0"
    assert sorted(seen["fd"]) == [0, 1, 2, 3, 5, 6, 7, 9]
    assert seen["env"] == []
    assert pam.lines() == [line("account", ada), line("open_session", ada)]
    (keeper,) = set(keepers()) - before
    assert os.stat(f"/proc/{keeper}").st_uid == 0 and os.getsid(keeper) != pid
    # The keeper holds nothing of the user endpoint's.
    held = [os.readlink(f"/proc/{keeper}/fd/{fd}") for fd in os.listdir(f"/proc/{keeper}/fd")]
    assert set(held) <= {"/dev/null", "anon_inode:[pidfd]"}
    children = open(f"/proc/{pid}/task/{pid}/children").read().split()
    assert children == []
    wait_ready(pid)
    os.kill(pid, signal.SIGTERM)
    assert c.expect(table.EXITED).code == 0
    wait_until(lambda: len(pam.lines()) == 3)
    assert pam.lines()[2] == line("close_session", ada)
    wait_until(lambda: not is_alive(keeper))


def test_closed_after_a_kill_and_after_a_failure(manager, pam, ada):
    pam.write()
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pam.lines()[-1:] == [line("close_session", ada)])
    c.failed(ada.name, "uep.2", blob=manager.blob("p", act="fail", mode="77"))
    wait_until(lambda: len(pam.lines()) == 6)
    assert pam.lines()[3:] == [
        line("account", ada), line("open_session", ada), line("close_session", ada)
    ]


def test_the_session_outlives_the_monitor(manager, pam, ada):
    pam.write()
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    manager.process.kill()
    manager.process.wait()
    assert is_alive(pid) and len(pam.lines()) == 2
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pam.lines()[-1:] == [line("close_session", ada)])


def test_stop_closes_all(manager, pam, ada, bob):
    pam.write()
    before = set(keepers())
    c = manager.begin()
    for account in (ada, bob):
        wait_ready(c.started(account.name, "uep.1").pid)
    manager.process.send_signal(signal.SIGTERM)
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(15) == 0
    wait_until(lambda: sum(entry.startswith("close_session") for entry in pam.lines()) == 2)
    wait_until(lambda: set(keepers()) <= before)


@pytest.mark.parametrize(
    "stack,step",
    [({"account": "account required pam_deny.so\n"}, "account"),
     ({"auth": "pam_deny.so"}, "setcred"),
     ({"session": "session required pam_deny.so\n"}, "open_session")],
)
def test_refusals(manager, pam, ada, stack, step):
    pam.write(**stack)
    c = manager.begin()
    answer = c.failed(ada.name, "uep.1", blob=manager.blob("p"))
    assert answer.code == 71
    assert answer.user_text == "(PermissionError) see your system administrator"
    assert f"PAM {step} of service {SERVICE}" in answer.admin_text
    assert "(error code: " in answer.admin_text
    manager.wait_log(f"Unable to start user endpoint process for {ada.name} [exit code: 71; ")
    assert not (manager.work / "p").exists()


def test_limits_of_pam_reach_the_user_endpoint(manager, pam, ada, top):
    limits = top / "limits.conf"
    limits.write_text("* soft nofile 321\n* hard nofile 654\n")
    pam.write(session=f"session required pam_limits.so conf={limits}\n")
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    (files,) = [entry for entry in open(f"/proc/{pid}/limits") if entry.startswith("Max open files")]
    assert files.split()[3:5] == ["321", "654"]


def test_variables_of_pam_reach_prepare_harmlessly(manager, pam, ada, top):
    """Under other names, so that no loader obeys them; prepare takes them when it is told to."""
    conf = top / "pam_env.conf"
    conf.write_text("KRB5CCNAME DEFAULT=FILE:/tmp/cache\nLD_PRELOAD DEFAULT=/evil.so\n")
    pam.write(session=f"session required pam_env.so readenv=0 conffile={conf}\n")
    c = manager.begin()
    c.started(ada.name, "uep.1", blob=manager.blob("p"))
    assert sorted(manager.probe("p")["env"]) == [
        "SALLYPORT_PAM_KRB5CCNAME=FILE:/tmp/cache", "SALLYPORT_PAM_LD_PRELOAD=/evil.so"
    ]


def test_the_keeper_that_cannot_be_forked(make_manager, top, pam, ada):
    pam.write()
    tree = monitor_harness.make_tree(top, "no-keeper")
    libexec = tree / "libexec" / "sallyport"
    shutil.move(libexec / "session", libexec / "session.real")
    monitor_harness.compile_double("faults.c", libexec / "session", "-lseccomp")
    config = monitor_harness.MAPPED + f"pam: {{service_name: {SERVICE}}}\n"
    manager = make_manager(config, tree=tree)
    c = manager.begin()
    for call in ("pidfd_open", "wait4"):
        (libexec / "faults.conf").write_text(f"{call} {errno.EPERM}\n")
        before = len(pam.lines())
        # pam_exec waits for its probe too: with wait4 gone it is the account step that fails.
        assert c.failed(ada.name, f"uep.{call[:4]}").code == 71
        opened = [entry.split()[0] for entry in pam.lines()[before:]]
        assert opened.count("open_session") == opened.count("close_session")
