"""Rows of the wire specification that need a broker or a ledger prepared for them."""

import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse

import pika
import pytest
from service_rig import STANDIN, Service, online, wait_until, why_not
from site_ import UserEndpoint

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from support.process import free_port  # noqa: E402
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
        data = pathlib.Path(folder) / "data"
        data.mkdir(mode=0o711)
        (data / "service.yaml").write_text(f'broker: {{url: "amqp://x:y@127.0.0.1/", '
                                           f'auth_listen: "127.0.0.1:{free_port()}"}}\n')
        lines = subprocess.run([STANDIN, "--broker-conf", "--data", data], check=True, capture_output=True, text=True,
                               timeout=30).stdout
        node = OddNode(pathlib.Path(folder) / "rabbit", lines,
                       "rabbitmq_auth_backend_http,rabbitmq_auth_backend_cache")
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


def test_rotation_while_they_are_connected(own_service):
    """A person's and a manager's: who is connected stays; the old password is good until the next rotation."""
    from site_ import Manager
    service = own_service
    if os.environ.get("SALLYPORT_TEST_POSTGRES"):
        pytest.skip("the test changes the ledger as SQLite")
    manager = Manager(service.register().json())
    wait_until(lambda: online(service, manager.id))
    function = service.function()
    group = service.submit(manager.id, function, create_queue=True).json()["task_group_id"]
    person = service.get("/v2/get_amqp_result_connection_url").json()

    def ask_person():
        return service.get("/v2/get_amqp_result_connection_url").json()["connection_url"]

    def ask_manager():
        return service.register(endpoint_id=manager.id).json()["command_queue_info"]["connection_url"]
    principal = person["queue_prefix"].rstrip(".")
    for name, ask, queue in ((principal, ask_person, person["queue_prefix"] + group),
                             (f"ep.{manager.id}", ask_manager, f"{manager.id}.commands")):
        urls = [ask()]
        assert ask() == urls[0]  # nothing is due
        connection = pika.BlockingConnection(pika.URLParameters(urls[0]))
        got = []
        connection.channel().basic_consume(queue, lambda *what, got=got: got.append(what[3]), auto_ack=True)
        for _ in range(2):
            make_old(service, name)
            wait_until(lambda ask=ask, urls=urls: time.sleep(0.5) or ask() not in urls, 30)
            urls.append(ask())
            wait_until(lambda urls=urls: lets_in(urls[-1]), 20)
            # One rotation back is the overlap; two are not.
            assert [lets_in(u) for u in urls] == [False] * (len(urls) - 2) + [True, True]
            connection.process_data_events(time_limit=0.2)
            if name == principal:
                before = len(got)
                service.submit(manager.id, function, create_queue=True, task_group_id=group)
                wait_until(lambda got=got, before=before, on=connection:
                           on.process_data_events(time_limit=0.1) or len(got) > before)
        connection.close()
    # The manager's first connection has been there all the time, and still takes commands.
    count = len(manager.commands)
    other = service.submit(manager.id, function, user_endpoint_config={"x": "another"})
    assert other.status_code == 200 and len(manager.commands) > count
    manager.leave()
