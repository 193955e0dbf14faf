"""kill -9 at any moment under load: every accepted task completes, once; nothing else is lost."""

import os
import pathlib
import signal
import subprocess
import threading
import time

import pika
import pytest
import requests
from service_rig import online, wait_until
from site_ import Manager, UserEndpoint


class Load:
    """Submits batches until told to stop and remembers what was accepted."""

    def __init__(self, service, endpoint, function, batch=2):
        self.service, self.endpoint, self.function, self.batch = service, endpoint, function, batch
        self.accepted = []
        self.refused = 0
        self.stopping = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.stopping:
            try:
                answer = self.service.submit(self.endpoint, self.function, n=self.batch)
                if answer.status_code == 200:
                    self.accepted += answer.json()["tasks"][self.function]
                else:
                    self.refused += 1
                    time.sleep(0.2)
            except requests.RequestException:
                self.refused += 1
                time.sleep(0.2)
            time.sleep(0.1)

    def goes_on(self):
        before = len(self.accepted)
        wait_until(lambda: len(self.accepted) > before + 10, 60)

    def stop(self):
        self.stopping = True
        self.thread.join()


def finished(service, tasks):
    results = {}
    for i in range(0, len(tasks), 1000):
        results.update(service.post("/v2/batch_status", {"task_ids": tasks[i:i + 1000]}).json()["results"])
    assert len(results) == len(tasks), "accepted tasks are not known"
    return {t for t, document in results.items() if document["status"] in ("success", "failed")}


class StubbornManager(Manager):
    """Comes back after the broker or the service was away, as a real one does."""

    def __init__(self, service, endpoint=None):
        answer = service.register(endpoint_id=endpoint)
        super().__init__(answer.json(), on_start=lambda m, c: m.start_endpoint(c))


def begin(service):
    manager = StubbornManager(service)
    wait_until(lambda: online(service, manager.id))
    load = Load(service, manager.id, service.function())
    wait_until(lambda: len(load.accepted) > 20)
    return manager, load


def finish(service, manager, load):
    """Everything that was accepted completes."""
    load.stop()
    wait_until(lambda: len(finished(service, load.accepted)) == len(load.accepted), 90)
    manager.leave()


def broker_pid(service):
    folder = str(service.folder / "data" / "broker")
    for line in subprocess.run(["pgrep", "-f", "beam.smp"], capture_output=True, text=True).stdout.split():
        try:
            if os.readlink(f"/proc/{line}/cwd") == folder:
                return int(line)
        except OSError:
            pass
    raise AssertionError("the broker is not running")


def children(pid):
    return subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()


def test_service_is_killed_under_load(own_service):
    service = own_service
    manager, load = begin(service)
    ran = {}
    for _ in range(3):
        time.sleep(0.7)
        service.stop(signal.SIGKILL)
        for e in manager.endpoints.values():
            ran.update({k: ran.get(k, 0) + v for k, v in e.ran.items()})
        service.start()  # the private broker has gone with it, and comes back with its data
        manager = StubbornManager(service, manager.id)
        wait_until(lambda: online(service, manager.id))
        load.goes_on()
    finish(service, manager, load)


def test_broker_is_killed_under_load(own_service):
    service = own_service
    manager, load = begin(service)
    os.kill(broker_pid(service), signal.SIGKILL)
    time.sleep(2)
    assert service.get("/readyz", user=None).status_code == 503
    wait_until(lambda: service.get("/readyz", user=None).status_code == 200, 60)
    manager = StubbornManager(service, manager.id)
    load.goes_on()
    finish(service, manager, load)


def test_the_broker_ends_with_the_service(own_service):
    service = own_service
    pid = broker_pid(service)
    service.stop(signal.SIGKILL)
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), 30)
    service.start()


def test_results_that_come_while_the_service_is_away_are_delivered(own_service):  # W48, M20
    service = own_service
    hold = {}
    manager = Manager(service.register().json(),
                      on_start=lambda m, c: hold.update(ep=m.start_endpoint(c, hold=True)))
    wait_until(lambda: online(service, manager.id))
    function = service.function()
    answer = service.submit(manager.id, function, n=3, create_queue=True).json()
    wait_until(lambda: "ep" in hold and len(hold["ep"].tasks) == 3)
    wait_until(lambda: all(d["status"] == "waiting-for-nodes" for d in service.post(
        "/v2/batch_status", {"task_ids": answer["tasks"][function]}).json()["results"].values()))
    service.restart()
    UserEndpoint(hold["ep"].creds).begin()  # reconnects: what it had not acknowledged comes again
    address = service.get("/v2/get_amqp_result_connection_url").json()
    connection = pika.BlockingConnection(pika.URLParameters(address["connection_url"]))
    channel = connection.channel()
    got = set()
    for method, _, body in channel.consume(address["queue_prefix"] + answer["task_group_id"], inactivity_timeout=20):
        assert method, "no result came"
        channel.basic_ack(method.delivery_tag)
        got.add(body.split(b'"task_id": "')[1][:36].decode())
        if len(got) == 3:
            break
    assert got == set(answer["tasks"][function])
    connection.close()


def test_duplicates_and_foreign_results(own_service):  # M13, M29
    service = own_service
    import json
    from site_ import pack, publish
    hold = {}
    manager = Manager(service.register().json(),
                      on_start=lambda m, c: hold.update(ep=m.start_endpoint(c, hold=True)))
    other = {}
    second = Manager(service.register(user="bob").json(), on_start=lambda m, c: other.update(ep=m.start_endpoint(c)))
    wait_until(lambda: online(service, manager.id) and online(service, second.id, "bob"))
    function = service.function()
    task = service.submit(manager.id, function).json()["tasks"][function][0]
    service.submit(second.id, service.function("bob"), user="bob")
    wait_until(lambda: all("ep" in one and one["ep"].tasks for one in (hold, other)))

    def result(endpoint, value):
        body = pack("result", {"task_id": task, "data": value, "details": None, "error_details": None,
                               "task_statuses": None})
        endpoint.call(lambda: publish(endpoint.channel, endpoint.creds["result_queue_info"], body))

    result(other["ep"], "00\nforeign\n")
    for junk in (b"", b"\x01", b"\x01{", b"\x02{}", b"\x01{\"message_type\":\"result\",\"data\":{}}", b"x" * 100000):
        for info in ("result_queue_info", "heartbeat_queue_info"):
            hold["ep"].call(lambda j=junk, i=info: publish(hold["ep"].channel, hold["ep"].creds[i], j))
    time.sleep(1)
    assert service.get(f"/v2/tasks/{task}").json()["status"] == "waiting-for-nodes"
    result(hold["ep"], "00\nfirst\n")
    result(hold["ep"], "00\nsecond\n")
    wait_until(lambda: service.get(f"/v2/tasks/{task}").json()["status"] == "success")
    time.sleep(0.5)
    assert service.get(f"/v2/tasks/{task}").json()["result"] == "00\nfirst\n"
    text = service.get("/metrics", user=None).text
    assert "sallyport_results_duplicate_total 1\n" in text
    assert json.loads(service.get("/readyz", user=None).text) == {"ledger": True, "broker": True}


def test_tasks_that_an_endpoint_lost_are_sent_again(own_service):  # M24
    """The original acknowledges a task before it runs it; killed then, it has lost it."""
    service = own_service
    manager = Manager(service.register().json(), on_start=lambda m, c: m.start_endpoint(c, period=5))
    wait_until(lambda: online(service, manager.id))
    function = service.function()
    service.submit(manager.id, function)
    endpoint = next(iter(manager.endpoints.values()))
    wait_until(lambda: len(endpoint.ran) == 1)
    endpoint.run_task = lambda properties, data: None
    task = service.submit(manager.id, function).json()["tasks"][function][0]
    wait_until(lambda: any(d["task_id"] == task for _, d in endpoint.tasks))
    endpoint.leave()
    wait_until(lambda: manager.endpoints[endpoint.id] is not endpoint)
    new = manager.endpoints[endpoint.id]
    end = time.monotonic() + 150
    while task not in new.ran and time.monotonic() < end:
        time.sleep(4)
        new.call(lambda: new.heartbeat(True))
        manager.call(lambda: manager.heartbeat())
    wait_until(lambda: service.get(f"/v2/tasks/{task}").json()["status"] == "success")


def test_one_service_a_folder(own_service):
    service = own_service
    second = subprocess.run([service.program, "--data", service.folder / "data", "--port", "0"],
                            capture_output=True, text=True, timeout=30)
    assert second.returncode == 1 and "in use by another service" in second.stderr


@pytest.mark.parametrize("option,words", [
    (["--port", "x"], "--port x"), (["--listen", "nonsense"], "HOST:PORT"), (["--store", "mysql://x"], "sqlite:PATH"),
    (["--broker", "http://x"], "broker"), (["--cert", "/x"], "certificate and its key"),
    (["--user", "no-such-user"], "no such account")])
def test_bad_settings_are_refused_in_words(tmp_path, option, words):
    from service_rig import STANDIN
    p = subprocess.run([STANDIN, "--data", tmp_path / "d", *option], capture_output=True, text=True, timeout=30)
    assert p.returncode != 0 and words in p.stderr, p.stderr


def test_bad_settings_file(tmp_path):
    from service_rig import STANDIN
    for text, words in (("port: x", "port is a string"), ("prot: 1", "prot is not a setting"), ("[1]", "mapping"),
                        ("tasks: {offline: maybe}", "wait or refuse"), ("broker: 1", "broker is")):
        (tmp_path / "service.yaml").write_text(text)
        p = subprocess.run([STANDIN, "--data", tmp_path], capture_output=True, text=True, timeout=30)
        assert p.returncode == 78 and words in p.stderr, (text, p.stderr)
