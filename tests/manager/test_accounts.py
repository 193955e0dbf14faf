"""Accounts that may not be used, and limits; each refusal says why."""

import grp
import os
import subprocess

import monitor_table as table
import pytest
from monitor_harness import MAPPED, needs_root

pytestmark = needs_root


def usermod(account, *options):
    subprocess.run(["usermod", *options, account.name], check=True, capture_output=True)


def refused(c, account, code=table.BAD_ACCOUNT, name="uep.1"):
    answer = c.failed(getattr(account, "name", account), name)
    assert answer.code == code, vars(answer)
    return answer


def test_no_such_account(manager):
    c = manager.begin()
    answer = refused(c, "sallyport-nobody-has-this", table.NO_ACCOUNT)
    assert answer.admin_text == "getpwnam(): name not found: 'sallyport-nobody-has-this'"


def test_root_and_system_accounts(manager):
    c = manager.begin()
    answer = refused(c, "root", table.SAME_USER)
    assert "Requested UID is same as" in answer.admin_text
    assert "root" not in answer.user_text
    assert "below 1000" in refused(c, "daemon").admin_text
    assert "listener" in refused(c, "nobody").admin_text
    manager.wait_log("Requested UID is same as")


def test_another_account_with_uid_0(manager):
    name = f"sallyport-toor-p{os.getpid()}"
    subprocess.run(["useradd", "-o", "-u", "0", "-s", "/bin/sh", name], check=True)
    try:
        refused(manager.begin(), name, table.SAME_USER)
    finally:
        # userdel would refuse: uid 0 has processes.
        for path in ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"):
            with open(path) as f:
                lines = [line for line in f if not line.startswith(name + ":")]
            with open(path + ".sallyport-new", "w") as f:
                f.writelines(lines)
            os.chmod(path + ".sallyport-new", os.stat(path).st_mode & 0o777)
            os.chown(path + ".sallyport-new", os.stat(path).st_uid, os.stat(path).st_gid)
            os.rename(path + ".sallyport-new", path)


def test_shadow(manager, accounts):
    eve = accounts.get("eve")
    c = manager.begin()
    subprocess.run(["chpasswd"], input=f"{eve.name}:long secret\n", text=True, check=True)
    c.started(eve.name, "uep.1")
    usermod(eve, "-L")
    assert "locked" in refused(c, eve, name="uep.2").admin_text
    usermod(eve, "-U")
    usermod(eve, "-e", "2020-01-01")
    answer = refused(c, eve, name="uep.2")
    assert "expired" in answer.admin_text and "expired" not in answer.user_text
    usermod(eve, "-e", "")
    c.started(eve.name, "uep.2")


def test_shells(make_manager, accounts):
    nologin = accounts.get("nologin", "--shell", "/usr/sbin/nologin")
    odd = accounts.get("odd", "--shell", "/opt/odd")
    c = make_manager().begin()
    assert "/usr/sbin/nologin" in refused(c, nologin).admin_text
    assert "/opt/odd" in refused(c, odd).admin_text
    c = make_manager(MAPPED + "sallyport: {allow_nologin_shells: true}\n").begin()
    c.started(nologin.name, "uep.1")
    c.started(odd.name, "uep.1")


def test_group_deny_list_and_minimum(make_manager, ada, bob):
    group = grp.getgrgid(ada.gid).gr_name
    manager = make_manager(
        MAPPED + f"sallyport: {{required_group: {group}, deny_users: [x, {bob.name}]}}\n"
    )
    c = manager.begin()
    c.started(ada.name, "uep.1")
    assert "deny_users" in refused(c, bob).admin_text
    c = make_manager(MAPPED + f"sallyport: {{required_group: {group}}}\n").begin()
    assert f"no member of the group {group}" in refused(c, bob).admin_text
    c = make_manager(MAPPED + "sallyport: {required_group: sallyport-none}\n").begin()
    assert "does not exist" in refused(c, ada).admin_text
    c = make_manager(MAPPED + f"sallyport: {{minimum_uid: {ada.uid + 1}}}\n").begin()
    assert f"below {ada.uid + 1}" in refused(c, ada).admin_text


@pytest.mark.parametrize(
    "knob,text",
    [("max_user_endpoints: 2", "its limit"), ("max_user_endpoints_per_user: 2", "per user"),
     ("max_starts_per_user_per_minute: 2", "within a minute"),
     ("minimum_free_memory_mib: 100000000", "short of memory")],
)
def test_admission(make_manager, ada, bob, knob, text):
    manager = make_manager(MAPPED + f"sallyport: {{{knob}}}\n")
    c = manager.begin()
    if "memory" not in knob:
        c.started(ada.name, "uep.1", request=1)
        c.started(ada.name, "uep.2", request=2)
    answer = c.failed(ada.name, "uep.3", request=3)
    assert answer.code == table.LIMIT and text in answer.user_text
    if "user" in knob and "endpoints:" not in knob:
        c.started(bob.name, "uep.3", request=4)
    # What runs already is not affected.
    if "memory" not in knob:
        c.start(ada.name, "uep.1", request=5)
        assert c.expect(table.RUNNING, table.FAILED).type == table.RUNNING


def test_same_user_override(make_manager):
    manager = make_manager(MAPPED + "force_mu_allow_same_user: true\n")
    c = manager.begin()
    c.started("root", "uep.1", blob=manager.blob("p"))
    assert manager.probe("p")["uid"] == "0 0 0"
    assert "very dangerous override" in manager.log()
