"""`sallyport endpoint list`, `task list` and `drain`, beside a running service."""

import json
import os
import sqlite3
import subprocess

import pytest

from support.rabbit import why_not as no_rabbit
from support.stack import Service

ENDPOINT = "aaaaaaaa-0000-4000-8000-000000000001"


@pytest.fixture
def own(prefix, folder):
    if reason := no_rabbit():
        pytest.skip(reason)
    with Service(prefix, folder / "service") as running:
        yield running


def fill(service):
    service.user("ada@example.org")
    ada = next(u for u in json.loads(service.command("user", "list", "--json")) if u["username"] == "ada@example.org")
    with sqlite3.connect(service.folder / "data" / "ledger.db", timeout=20) as c:
        c.execute("INSERT INTO endpoints(id, owner, name, multi_user, public, high_assurance, metadata, is_template, "
                  "created_us, registered_us) VALUES (?, ?, 'gpu', 1, 0, 0, '{}', 1, 5000000, 5000000)",
                  (ENDPOINT, ada["id"]))
        for i in range(4):
            c.execute("INSERT INTO tasks(id, grp, owner, endpoint, uep, function, state, stream, created_us) "
                      "VALUES (?, 'g', ?, ?, 'u', 'f', ?, 0, ?)",
                      (f"ffffffff-0000-7000-8000-00000000000{i}", ada["id"], ENDPOINT, i, i * 1000000))
    c.close()


def run(service, *words):
    return subprocess.run([service.prefix / "bin" / "sallyport", *words, "--data", service.folder / "data"],
                          capture_output=True, text=True, timeout=90, env={"PATH": os.environ["PATH"]})


def test_lists(own):
    assert own.command("endpoint", "list").strip() == "No endpoint is registered."
    assert own.command("task", "list").strip() == "There is no such task."
    fill(own)
    found = json.loads(own.command("endpoint", "list", "--json"))
    assert found == [{"endpoint_id": ENDPOINT, "name": "gpu", "owner": "ada@example.org", "kind": "manager", "seen": 0}]
    assert "ada@example.org" in own.command("endpoint", "list")
    for state, wanted in (("open", ["sent", "waiting"]), ("waiting", ["waiting"]), ("sent", ["sent"]),
                          ("succeeded", ["succeeded"]), ("failed", ["failed"])):
        tasks = json.loads(own.command("task", "list", "--state", state, "--json"))
        assert [t["state"] for t in tasks] == wanted and all(t["owner"] == "ada@example.org" for t in tasks)
    refused = run(own, "task", "list", "--state", "lost")
    assert refused.returncode != 0 and "--state lost: it is open, waiting" in refused.stderr


def test_drain(own):
    done = run(own, "drain")
    assert done.returncode == 0 and "has ended" in done.stdout, done.stderr
    assert own._daemon.process.wait(10) == 0
    again = run(own, "drain")
    assert again.returncode == 1 and "no service runs there" in again.stderr
    assert "no service runs there" in run(own, "drain", "--instance", "a").stderr
