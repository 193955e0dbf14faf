"""Ledgers of every earlier version are brought to today's form, with what is in them.

data/ledgers/N.{sqlite,postgresql}.sql: a dump of version N's ledger with an endpoint, a function,
two finished tasks and two that wait.  A release that changes the schema adds the dump of the one
before it."""

import os
import pathlib
import re
import sqlite3
import subprocess
import tempfile

import pytest
from service_rig import STANDIN, Service, online, wait_until
from site_ import Manager

from support import postgres

DUMPS = sorted((pathlib.Path(__file__).parents[1] / "data" / "ledgers").glob("*.sql"))
ENDPOINT = "aaaaaaaa-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def database():
    if reason := postgres.why_not():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="sallyport-pg-", dir="/var/tmp") as name:
        os.chmod(name, 0o711)
        with postgres.Postgres(pathlib.Path(name)) as running:
            yield running


def load(dump, place, request):
    """The store's URL."""
    if "sqlite" in dump.name:
        ledger = place / "ledger.db"
        with sqlite3.connect(ledger) as connection:
            connection.executescript(dump.read_text())
        connection.close()
        return f"sqlite:{ledger}"
    running = request.getfixturevalue("database")
    url = running.database(f"of_version_{dump.name.split('.')[0]}")
    subprocess.run([postgres.PROGRAMS / "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-f", dump, url], check=True,
                   capture_output=True, timeout=60)
    return url


@pytest.mark.parametrize("dump", DUMPS, ids=lambda p: p.name)
def test_an_older_ledger(dump, place, request):
    url = load(dump, place, request)
    function = re.search(r"functions['\"]? VALUES\('?\(?'?([0-9a-f-]{36})|functions VALUES \('([0-9a-f-]{36})",
                         dump.read_text())
    function = function[1] or function[2]
    tasks = sorted(set(re.findall(r"01[0-9a-f]{6}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                                  dump.read_text())))
    (place / "data").mkdir(mode=0o711)
    (place / "data" / "service.yaml").write_text("tasks: {days: 3650}\n")
    service = Service(place, "--store", url)
    try:
        assert service.get(f"/v2/functions/{function}").json()["function_name"] == "f"
        known = service.post("/v2/batch_status", {"task_ids": tasks}).json()["results"]
        done = [t for t in tasks if known.get(t, {}).get("status") == "success"]
        assert len(done) == 2 and all(service.get(f"/v2/tasks/{t}").json()["result"] for t in done)
        manager = Manager(service.register(endpoint_id=ENDPOINT).json())
        wait_until(lambda: online(service, manager.id))
        waiting = [t for t, d in known.items() if d["status"] in ("waiting-for-ep", "waiting-for-nodes")]
        assert len(waiting) == 2, known
        wait_until(lambda: all(service.get(f"/v2/tasks/{t}").json()["status"] == "success" for t in waiting), 40)
        manager.leave()
    finally:
        service.stop()


def test_a_newer_ledger_is_refused_in_one_sentence(place):
    service = Service(place)
    service.stop()
    with sqlite3.connect(place / "data" / "ledger.db") as connection:
        connection.execute("INSERT INTO migrations VALUES ('api-999')")
    connection.close()
    before = (place / "data" / "ledger.db").read_bytes()
    refused = subprocess.run([STANDIN, "--data", place / "data", "--port", "0"], capture_output=True, text=True,
                             timeout=30)
    assert refused.returncode == 1
    errors = [line for line in refused.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and "newer version of Sallyport (api-999)" in errors[0], refused.stderr
    assert (place / "data" / "ledger.db").read_bytes() == before
