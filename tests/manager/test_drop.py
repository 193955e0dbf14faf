"""Each step of the drop fails, lies, or dies; no user endpoint comes of it."""

import errno
import shutil

import monitor_table as table
import pytest
from monitor_harness import compile_double, is_sanitized, make_tree, needs_root

pytestmark = needs_root

PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_CAPBSET_DROP, PR_CAP_AMBIENT = 38, 39, 24, 47


@pytest.fixture(scope="module")
def faulty_tree(top, tree):
    path = make_tree(top, "faulty")
    libexec = path / "libexec" / "sallyport"
    shutil.move(libexec / "session", libexec / "session.real")
    compile_double("faults.c", libexec / "session", "-lseccomp")
    return path


FAILS = [
    ("setsid", 75),
    ("close_range", 70),
    ("chdir", 70),
    ("rt_sigprocmask", 70),
    ("prlimit64", 70),
    ("setresgid", 71),
    ("setgroups", 72),
    ("setresuid", 73),
    ("capset", 74),
    (f"prctl {PR_CAPBSET_DROP}", 74),
    (f"prctl {PR_CAP_AMBIENT}", 74),
    ("getresuid", 74),
    ("getresgid", 74),
    (f"prctl {PR_SET_NO_NEW_PRIVS}", 74),
    (f"prctl {PR_GET_NO_NEW_PRIVS}", 74),
    ("umask", 76),
]
LIES = [
    ("setsid", 75),
    ("setresgid", 74),
    ("setgroups", 74),
    ("setresuid", 74),
    ("setfsuid", 74),
    ("setfsgid", 74),
    ("setuid", 74),  # root came back, it says
    ("setgid", 74),
    ("umask", 76),
    (f"prctl {PR_CAPBSET_DROP}", 74),
    (f"prctl {PR_SET_NO_NEW_PRIVS}", 74),
]


def fault(tree, call, error):
    name, _, argument = call.partition(" ")
    path = tree / "libexec" / "sallyport" / "faults.conf"
    path.write_text(f"{name} {error} {argument}\n")


@pytest.fixture
def c(make_manager, faulty_tree):
    manager = make_manager(tree=faulty_tree)
    connection = manager.begin()
    connection.manager = manager
    return connection


@pytest.mark.parametrize("call,code", FAILS)
def test_a_call_that_fails(c, ada, faulty_tree, call, code):
    if call == "prlimit64" and is_sanitized():
        pytest.skip("the sanitizer's run time needs it")
    fault(faulty_tree, call, errno.EPERM)
    blob = c.manager.blob("p")
    answer = c.failed(ada.name, "uep.1", blob=blob)
    assert answer.code == code, answer.admin_text
    assert answer.user_text == "(PermissionError) see your system administrator"
    assert not (c.manager.work / "p").exists()
    c.manager.wait_log(f"Unable to start user endpoint process for {ada.name} [exit code: {code}; ")
    # The manager lives on.
    fault(faulty_tree, "acct", errno.EPERM)
    c.started(ada.name, "uep.1", request=2, blob=blob)
    assert c.manager.probe("p")["uid"] == f"{ada.uid} {ada.uid} {ada.uid}"


@pytest.mark.parametrize("call,code", LIES)
def test_a_call_that_lies(c, ada, faulty_tree, call, code):
    """It says that it has worked and has done nothing: the proof must notice."""
    fault(faulty_tree, call, 0)
    answer = c.failed(ada.name, "uep.1", blob=c.manager.blob("p"))
    assert answer.code == code, answer.admin_text
    assert not (c.manager.work / "p").exists()


@pytest.mark.parametrize("call", [call for call, _ in FAILS])
def test_death_at_each_step(c, ada, faulty_tree, call):
    fault(faulty_tree, call, -1)
    answer = c.failed(ada.name, "uep.1", blob=c.manager.blob("p"))
    assert answer.code == table.DIED and "signal" in answer.admin_text
    assert not (c.manager.work / "p").exists()
    fault(faulty_tree, "acct", errno.EPERM)
    c.started(ada.name, "uep.1", request=2)


def test_prepare_that_cannot_be_run(make_manager, top, ada):
    tree = make_tree(top, "unreadable")
    (tree / "libexec/sallyport/prepare").chmod(0o700)
    answer = make_manager(tree=tree).begin().failed(ada.name, "uep.1")
    assert answer.code == 87 and "prepare" in answer.admin_text
    assert "prepare" not in answer.user_text


def test_session_that_is_missing(make_manager, top, ada):
    tree = make_tree(top, "incomplete")
    (tree / "libexec/sallyport/session").unlink()
    answer = make_manager(tree=tree).begin().failed(ada.name, "uep.1")
    assert answer.code == 70 and "session" in answer.admin_text
