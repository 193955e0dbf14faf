"""kill -9 of the service at each labelled point (src/service/fault.h) under load: every accepted task
completes, and its result reaches the stream that its SDK reads."""

import json
import os
import pathlib
import re
import signal
import time

import pika
import pytest
import requests
from service_rig import online, wait_until
from site_ import Manager

from support.long import some

HEADER = (pathlib.Path(__file__).parents[2] / "src" / "service" / "fault.h").read_text()
POINTS = re.findall(r"^ \*   ([a-z]+-[a-z]+(?:-[a-z]+)*) ", HEADER, re.M)


def crash_at(service, point, n):
    """Restarts the service so that it dies at the point."""
    service.stop()
    os.environ["SALLYPORT_TEST_CRASH"] = f"{point}:{n}"
    try:
        service.start()
    finally:
        del os.environ["SALLYPORT_TEST_CRASH"]


def submit_until(service, endpoint, function, enough, seconds=40):
    """Accepted tasks by group, until enough() says so; refusals are tried again, as the SDK does."""
    groups = {}
    end = time.monotonic() + seconds
    while not enough() and time.monotonic() < end:
        try:
            answer = service.submit(endpoint, function, n=2, create_queue=True)
            if answer.status_code == 200:
                groups[answer.json()["task_group_id"]] = answer.json()["tasks"][function]
        except requests.RequestException:
            pass
        time.sleep(0.02)
    return groups


def streamed(service, groups):
    """Task ids that came on each stream, until all are there."""
    address = service.get("/v2/get_amqp_result_connection_url").json()
    connection = pika.BlockingConnection(pika.URLParameters(address["connection_url"]))
    channel = connection.channel()
    for group, tasks in groups.items():
        missing = set(tasks)
        queue = address["queue_prefix"] + group
        end = time.monotonic() + 60
        while missing and time.monotonic() < end:
            method, _, body = channel.basic_get(queue, auto_ack=True)
            if method:
                missing.discard(json.loads(body[1:])["data"]["task_id"])
            else:
                time.sleep(0.1)
        assert not missing, f"results that did not reach stream {group}"
    connection.close()


def test_the_list_is_complete():
    source = "".join(p.read_text() for p in (pathlib.Path(__file__).parents[2] / "src" / "service" / "api").glob("*.c"))
    assert sorted(re.findall(r'fault_point\("([a-z-]+)"\)', source)) == sorted(POINTS) and len(POINTS) == 8


@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", some(POINTS, ("submit-stored", "check-in", "result-stored")))
def test_killed_at(own_service, point):
    service = own_service
    endpoint = service.register().json()["endpoint_id"]
    function = service.function()
    crash_at(service, point, 1 if point in ("start-published", "check-in") else 3)
    manager = Manager(service.register(endpoint_id=endpoint).json())
    wait_until(lambda: online(service, endpoint))
    groups = submit_until(service, endpoint, function, lambda: service.process.poll() is not None)
    assert service.process.poll() == -signal.SIGKILL, f"{point} was not reached"
    ran = {t: n for e in manager.endpoints.values() for t, n in e.ran.items()}
    service.stop()
    service.start()  # its private broker ended with it, and with that every connection
    manager = Manager(service.register(endpoint_id=endpoint).json())
    wait_until(lambda: online(service, endpoint))
    before = len(groups)
    more = {}
    more.update(submit_until(service, endpoint, function, lambda: len(more) or False, 0.5))
    groups.update(more)
    assert len(groups) > before
    tasks = [t for group in groups.values() for t in group]
    wait_until(lambda: all(d["status"] == "success" for d in service.post(
        "/v2/batch_status", {"task_ids": tasks}).json()["results"].values()), 120)
    assert len(service.post("/v2/batch_status", {"task_ids": tasks}).json()["results"]) == len(tasks)
    streamed(service, groups)
    for e in manager.endpoints.values():
        for task, n in e.ran.items():
            ran[task] = ran.get(task, 0) + n
    assert set(tasks) <= set(ran)
