"""The tools of the tests themselves: a broker that is private, accounts that vanish."""

import os
import pwd
import subprocess
import sys

import pytest

from support.process import Daemon, processes_of, wait_for


def test_broker_is_private_and_keeps_data_over_a_crash(rabbit):
    with rabbit.connect() as connection:
        channel = connection.channel()
        channel.queue_declare("kept", durable=True)
    rabbit.crash()
    rabbit.start()
    with rabbit.connect() as connection:
        assert connection.channel().queue_declare("kept", passive=True).method.queue == "kept"
        connection.channel().queue_delete("kept")


def test_account_is_an_ordinary_one(accounts):
    account = accounts.get("ada")
    assert account.uid >= 1000
    assert account.home.is_dir()
    shown = subprocess.run(["id", "-un"], user=account.uid, capture_output=True, text=True)
    assert shown.stdout.strip() == account.name
    assert accounts.get("ada") == account


def test_removing_an_account_ends_and_names_what_it_ran(accounts):
    from support.accounts import Accounts

    mine = Accounts()
    account = mine.get("bob")
    process = subprocess.Popen(["sleep", "60"], user=account.uid)
    wait_for("sleep", lambda: any("sleep 60" in line for _, line in processes_of(account.uid)))
    left = mine.remove()
    process.wait(5)
    assert [line.split(" ", 1)[1] for line in left] == ["sleep 60"]
    with pytest.raises(KeyError):
        pwd.getpwnam(account.name)


def test_daemon_is_killed_when_it_will_not_end(folder):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    daemon = Daemon([sys.executable, "-c", code], folder / "out", dict(os.environ))
    wait_for("daemon", lambda: "up" in daemon.output())
    assert daemon.stop(0.2) == -9
