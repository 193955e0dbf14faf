"""Rows of the wire specification that need a broker or a ledger prepared for them."""

import os
import pathlib
import sqlite3
import sys
import tempfile
import time
import urllib.parse

import pika
import pytest
from service_rig import Service, wait_until, why_not
from site_ import UserEndpoint

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from support.rabbit import RabbitNode  # noqa: E402


class OddNode(RabbitNode):
    @property
    def url(self):
        return f"amqp://{self.user}:{urllib.parse.quote(self.password, safe='')}@127.0.0.1:{self.port}/%2F"


def test_passwords_of_any_characters():
    """M26: percent-encoded in the URL, decoded at both ends: pika's and ours."""
    if reason := why_not():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="sallyport-service-") as folder:
        os.chmod(folder, 0o711)
        node = OddNode(pathlib.Path(folder) / "rabbit")
        node.password = "p%/+@:?&=x"
        with node:
            service = Service(folder, "--broker", node.url)  # it says that it is ready when it has logged in
            assert service.get("/readyz", user=None).json()["broker"] is True
            service.stop()
            wrong = node.url.replace("%25", "%2525")
            with pytest.raises(pika.exceptions.AMQPError):
                pika.BlockingConnection(pika.URLParameters(wrong))


def make_old(service, principal):
    """As if its password had been given out a month ago."""
    with sqlite3.connect(service.folder / "data" / "ledger.db", timeout=20) as db:
        assert db.execute("UPDATE principals SET since_s = since_s - 2592000 WHERE name = ?",
                          (principal,)).rowcount == 1
    db.close()


def lets_in(url):
    try:
        pika.BlockingConnection(pika.URLParameters(url)).close()
        return True
    except pika.exceptions.AMQPError:
        return False


def newest(manager):
    return manager.commands[-1][1]["kwargs"]["amqp_creds"]["task_queue_info"]["connection_url"]


def test_rotation_of_a_user_endpoints_password(own_service):
    """M8: the command brings the new one, the newest two are good, and what was in hand comes again."""
    from site_ import Manager
    service = own_service
    if os.environ.get("SALLYPORT_TEST_POSTGRES"):
        pytest.skip("the test changes the ledger as SQLite")
    manager = Manager(service.register().json(),
                      on_start=lambda m, c: m.start_endpoint(c, hold=True))
    function = service.function()
    task = service.submit(manager.id, function).json()["tasks"][function][0]
    first = next(iter(manager.endpoints.values()))
    wait_until(lambda: first.tasks)
    urls = [first.creds["task_queue_info"]["connection_url"]]
    for _ in range(2):
        make_old(service, f"ep.{first.id}")

        def renewed():
            time.sleep(1)  # what the process remembers of the ledger is good for five seconds
            service.submit(manager.id, function)
            return newest(manager) not in urls
        wait_until(renewed, 60)
        urls.append(newest(manager))
    assert len(set(urls)) == 3
    wait_until(lambda: lets_in(urls[2]), 20)
    assert [lets_in(u) for u in urls] == [False, True, True]
    manager.leave()
    again = UserEndpoint(manager.commands[-1][1]["kwargs"]["amqp_creds"]).begin()
    wait_until(lambda: service.get(f"/v2/tasks/{task}").json()["status"] == "success", 40)
    again.leave()
