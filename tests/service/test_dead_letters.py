"""What a queue of the broker gives up is counted and logged, and nobody loses anything by it."""

import base64
import hashlib
import hmac
import pathlib
import re
import subprocess
import time
import urllib.parse

import pika
import pytest
import requests
from service_rig import STANDIN, online, wait_until, why_not
from site_ import Manager
from test_limits import service_with

BOUND = 8192
SOURCE = "st\nf:def f():\n    return 'x' * 1000\n"
KILOBYTE = f"{len(SOURCE)}\n{SOURCE}"


def given_up(service, queue, reason):
    text = service.get("/metrics", user=None).text
    return int(re.search(rf'^sallyport_dead_letters_total{{queue="{queue}",reason="{reason}"}} (\d+)', text, re.M)[1])


def stream_of(service, user="alice"):
    info = service.get("/v2/get_amqp_result_connection_url", user=user).json()
    return pika.BlockingConnection(pika.URLParameters(info["connection_url"])), info["queue_prefix"]


def as_the_service(service, some_url):
    """A connection with the service's own login at its private node."""
    key = (service.folder / "data" / "broker.key").read_bytes()
    secret = base64.urlsafe_b64encode(hmac.digest(key, b"other:the service's own password", hashlib.sha256)).decode()
    url = urllib.parse.urlsplit(some_url)
    return pika.BlockingConnection(pika.ConnectionParameters(
        url.hostname, url.port, "/", pika.PlainCredentials("sallyport-service", "p" + secret.rstrip("=")[1:])))


def is_declared_as(service, some_url, name, arguments):
    connection = as_the_service(service, some_url)
    try:
        connection.channel().queue_declare(name, durable=True, arguments=arguments)
        return True
    except pika.exceptions.ChannelClosedByBroker as e:
        assert e.reply_code == 406, e
        return False
    finally:
        connection.close()


def test_what_queues_are_made_with(service, site):
    """amqp.md 5 and 6 leave bounds and expiry to the service."""
    manager = site()
    url = manager.info["command_queue_info"]["connection_url"]
    function = service.function()
    answer = service.submit(manager.id, function, create_queue=True).json()
    wait_until(lambda: manager.endpoints)
    uep, group = next(iter(manager.endpoints)), answer["task_group_id"]
    connection, prefix = stream_of(service)
    connection.close()
    dead, day = {"x-dead-letter-exchange": "dead"}, 24 * 3600 * 1000
    stream = {**dead, "x-expires": day, "x-max-length-bytes": 1 << 30}
    assert is_declared_as(service, url, prefix + group, stream)
    assert not is_declared_as(service, url, prefix + group, {**stream, "x-max-length-bytes": 1 << 29})
    assert is_declared_as(service, url, f"{uep}.tasks", {**dead, "x-expires": 15 * day})
    assert is_declared_as(service, url, f"{manager.id}.commands", dead)
    assert is_declared_as(service, url, "dead", {"x-max-length": 10000})
    assert is_declared_as(service, url, "results", None)
    assert is_declared_as(service, url, "heartbeats", {"x-message-ttl": 120000})


def test_a_command_that_nobody_takes(service, site):
    manager = site()
    before = given_up(service, "commands", "expired")
    manager.call(lambda: manager.channel.basic_cancel(manager.channel.consumer_tags[0]))
    time.sleep(1)
    function = service.function()
    body = {"tasks": {function: ["12\n00\ngAQpLg==\n12\n00\ngAR9lC4=\n"]}, "create_queue": False}
    with pytest.raises(requests.Timeout):  # it waits for the start
        requests.post(f"{service.url}/v3/endpoints/{manager.id}/submit", json=body, timeout=2,
                      headers={"Authorization": "Bearer test-alice"})
    wait_until(lambda: given_up(service, "commands", "expired") > before, 30)
    assert f"event=dead-letter queue={manager.id}.commands reason=expired" in service.text_of_log()
    assert not manager.commands


def test_a_task_that_is_refused(service, site):
    manager = site(on_start=lambda m, c: m.start_endpoint(c, hold=True))
    before = given_up(service, "tasks", "rejected")
    function = service.function()
    task = service.submit(manager.id, function).json()["tasks"][function][0]
    wait_until(lambda: any(e.deliveries for e in manager.endpoints.values()))
    endpoint = next(iter(manager.endpoints.values()))
    endpoint.call(lambda: endpoint.channel.basic_reject(endpoint.deliveries[0][0], requeue=False))
    wait_until(lambda: given_up(service, "tasks", "rejected") > before)
    assert f"event=dead-letter queue={endpoint.id}.tasks reason=rejected" in service.text_of_log()
    assert service.get(f"/v2/tasks/{task}").json()["status"] not in ("success", "failed")  # it is sent again later


def fill(service, manager, function, group=None, n=40):
    more = {"task_group_id": group} if group else {}
    answer = service.submit(manager.id, function, n=n, create_queue=True, **more)
    assert answer.status_code == 200, answer.text
    tasks = answer.json()["tasks"][function]
    wait_until(lambda: all(service.get(f"/v2/tasks/{t}").json()["status"] == "success" for t in tasks), 60)
    return answer.json()["task_group_id"], tasks


def everything_in(channel, queue):
    got = []
    while (message := channel.basic_get(queue, auto_ack=True))[0]:
        got.append(message[2])
    return got


def test_a_stream_that_nobody_reads():
    """It keeps its newest results, as many as its bound lets it; the ledger has all."""
    with service_with(f"broker: {{stream_bytes: {BOUND}}}\n") as service:
        manager = Manager(service.register().json())
        wait_until(lambda: online(service, manager.id))
        function = service.function(code=KILOBYTE)
        group, tasks = fill(service, manager, function)
        wait_until(lambda: given_up(service, "streams", "maxlen") > 0)
        connection, prefix = stream_of(service)
        channel = connection.channel()

        def all_there():
            count = channel.queue_declare(prefix + group, passive=True).method.message_count
            return count + given_up(service, "streams", "maxlen") == len(tasks)
        wait_until(all_there)
        kept = everything_in(channel, prefix + group)
        assert 0 < len(kept) < len(tasks) and sum(map(len, kept)) <= BOUND
        assert re.search(rf"event=dead-letter queue={prefix}{group} reason=maxlen", service.text_of_log())
        connection.close()
        # Another bound is for new streams; one that exists goes on with its own.
        settings = pathlib.Path(service.folder) / "data" / "service.yaml"
        settings.write_text(settings.read_text().replace(str(BOUND), str(BOUND * 100)))
        manager.leave()
        service.restart()
        manager = Manager(service.register(endpoint_id=manager.id).json())
        wait_until(lambda: online(service, manager.id))
        fill(service, manager, function, group)
        wait_until(lambda: given_up(service, "streams", "maxlen") > 0)
        before = given_up(service, "streams", "maxlen")
        other, tasks = fill(service, manager, function)
        connection, prefix = stream_of(service)
        wait_until(lambda: connection.channel().queue_declare(prefix + other, passive=True).method.message_count
                   == len(tasks))
        assert given_up(service, "streams", "maxlen") == before
        connection.close()
        manager.leave()


@pytest.mark.parametrize("value, said", [("1", "broker.stream_bytes is 1; it has to be from 4096"),
                                         ("much", "broker.stream_bytes is a string; it has to be a whole number")])
def test_bounds_of_the_bound(tmp_path, value, said):
    if reason := why_not():
        pytest.skip(reason)
    (tmp_path / "service.yaml").write_text(f"broker: {{stream_bytes: {value}}}\n")
    done = subprocess.run([STANDIN, "--data", tmp_path, "--port", "0"], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and said in done.stderr, done.stderr
