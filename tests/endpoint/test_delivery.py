"""Nothing is lost, nothing runs twice in one life: cuts, kills, a broker that goes (U9, U10, U17-U27)."""

import base64
import json
import os
import random
import signal
import time
import uuid

import pika
import pytest
from cryptography.fernet import Fernet
from cut import Forwarder
from support.process import wait_for
from support.rabbit import RabbitNode
from uep import LOCAL, POOL, Cloud, Failed


def quick(path=None, mark=""):
    if path:
        with open(path, "a") as f:
            f.write(mark + "\n")
    return mark


def slow(seconds, path=None, mark=""):
    import time
    time.sleep(seconds)
    if path:
        with open(path, "a") as f:
            f.write(mark + "\n")
    return mark


@pytest.fixture
def wire(cloud):
    forwarder = Forwarder(cloud.url)
    yield forwarder
    forwarder.close()


def test_forbidden_function(cloud):
    good, bad = str(uuid.uuid4()), str(uuid.uuid4())
    uep = cloud.start(POOL, document={"allowed_functions": [good.upper()]})
    assert cloud.result(cloud.submit(quick, function_id=good)) == ""
    task = cloud.submit(quick, function_id=bad)
    text = f"Function {bad} not permitted on endpoint {cloud.id}"
    assert cloud.raw(task) == {
        "task_id": task, "data": text, "details": {"fid": bad, "eid": cloud.id},
        "error_details": {"code": "FUNCTION_NOT_ALLOWED", "user_message": text}, "task_statuses": None}
    assert uep.stop() == 0
    assert cloud.ready() == 0


@pytest.mark.parametrize("how,text", [
    (dict(drop=["function_uuid"]), "function_uuid"),
    (dict(function_id="x"), "function_uuid"),
    (dict(resource_specification="{"), "resource_specification"),
])
def test_poison_with_an_id_gets_an_answer(cloud, how, text):
    uep = cloud.start(POOL)
    task = cloud.publish(b"\x01{}", **how)
    with pytest.raises(Failed, match=f"Failed to start task: .*{text}"):
        cloud.result(task)
    assert cloud.raw(task)["task_statuses"] == []
    assert uep.stop() == 0
    assert cloud.ready() == 0


def test_poison_without_an_id_is_rejected(cloud):
    uep = cloud.start(POOL)
    cloud.publish(b"junk", drop=["task_uuid"])
    cloud.publish(b"junk", task_id="not-a-uuid")
    assert cloud.result(cloud.submit(quick, mark="x")) == "x"
    assert uep.stop() == 0
    assert cloud.ready() == 0


@pytest.mark.parametrize("spec", ["", "null", "{}", " "])
def test_no_specification(cloud, spec):
    cloud.start(POOL)
    assert cloud.result(cloud.submit(quick, mark="x", headers={"resource_specification": spec})) == "x"


def test_serializers_of_the_header(cloud):
    cloud.start(POOL)
    task = cloud.submit(quick, mark="x", headers={
        "result_serializers": ["globus_compute_sdk.serialize.JSONData"]})
    assert cloud.result(task) == "x"
    assert cloud.raw(task)["data"] == '11\n"x"'


def test_results_of_an_earlier_life_are_sent(cloud):
    store = cloud.folder / "compute" / "uep" / "unacked_results"
    store.mkdir(parents=True)
    task = str(uuid.uuid4())
    (store / task).write_bytes(b'\x01{"message_type":"result","data":{"task_id":"%s","data":"00\\ngARLCS4=\\n",'
                               b'"details":null,"error_details":null,"task_statuses":null}}' % task.encode())
    uep = cloud.start(POOL)
    assert cloud.result(task) == 9
    wait_for("an empty store", lambda: not (store / task).exists(), 5)
    # delivered again, it does not run again
    cloud.publish(cloud.body(quick, task_id=task), task)
    assert len(cloud.drain(1)[task]) == 1
    assert uep.stop() == 0 and cloud.ready() == 0


def test_an_unwritable_store(cloud):
    path = cloud.folder / "compute" / "uep" / "unacked_results"
    path.parent.mkdir(parents=True)
    path.write_text("in the way")
    uep = cloud.start(POOL)
    assert uep.wait() == 1
    assert "unacked_results" in cloud.beat()["error"]


def test_kill_and_restart_loses_nothing(cloud):
    """kill -9 at random moments under load; every task has its result in the end."""
    done = cloud.folder / "ran"
    tasks = [cloud.submit(quick, str(done), str(i)) for i in range(300)]
    for _ in range(4):
        uep = cloud.start()
        result = cloud.next_result(20)
        cloud.by_id.setdefault(result["task_id"], []).append(result)
        time.sleep(random.uniform(0, 0.1))
        uep.kill()
    uep = cloud.start()
    end = time.monotonic() + 90
    while missing := set(tasks) - set(cloud.drain(0.5)):
        assert time.monotonic() < end, f"{len(missing)} lost, {cloud.ready()} wait\n{uep.log()[-3000:]}"
    assert uep.stop() == 0
    assert cloud.ready() == 0
    assert all(r["error_details"] is None for rs in cloud.by_id.values() for r in rs)
    assert not [p for p in (uep.dir / "unacked_results").iterdir() if not p.name.startswith(".")]


def test_cut_connections(cloud, wire):
    """Random cuts: each task has exactly one result and ran once."""
    ran = cloud.folder / "ran"
    uep = cloud.start(document={"amqp_creds": cloud.creds(wire.url)})
    cloud.beat()
    tasks = []
    for i in range(200):
        tasks.append(cloud.submit(slow, 0.01, str(ran), str(i)))
        if i % 40 == 20:
            wire.cut()
        time.sleep(0.005)
    end = time.monotonic() + 60
    while not set(tasks) <= set(cloud.drain(0.5)):
        assert time.monotonic() < end, uep.log()[-4000:]
    cloud.drain(1)
    marks = ran.read_text().split()
    assert sorted(marks, key=int) == [str(i) for i in range(200)]
    assert uep.stop() == 0
    assert cloud.ready() == 0


def test_broker_restart(prefix, folder):
    """A task runs while the broker is away: its result waits in a file of its own."""
    with RabbitNode(folder / "own") as node:
        cloud = Cloud(prefix, node.url, folder)
        try:
            uep = cloud.start()
            early, late = cloud.submit(quick, mark="early"), cloud.submit(slow, 4, mark="late")
            assert cloud.result(early) == "early"
            waiting = [cloud.submit(slow, 0.1, mark=str(i)) for i in range(5)]
            time.sleep(1)
            node.crash()
            store = uep.dir / "unacked_results"
            wait_for("the stored result", (store / late).exists, 20)
            assert json.loads((store / late).read_bytes()[1:])["data"]["task_id"] == late
            node.start()
            cloud.reconnect()
            assert cloud.result(late, 60) == "late"
            assert [cloud.result(t) for t in waiting] == [str(i) for i in range(5)]
            wait_for("an empty store", lambda: not (store / late).exists(), 10)
            assert uep.stop() == 0
        finally:
            cloud.close()


def test_shutdown_while_the_broker_is_away(cloud, wire):
    uep = cloud.start(POOL, document={"amqp_creds": cloud.creds(wire.url)})
    task = cloud.submit(slow, 2, mark="kept")
    time.sleep(1)
    wire.refuse = True
    wire.cut()
    time.sleep(0.3)
    assert uep.stop() == 0
    assert (uep.dir / "unacked_results" / task).exists()
    wire.refuse = False
    uep = cloud.start(POOL)
    assert cloud.result(task) == "kept"
    assert uep.stop() == 0 and cloud.ready() == 0


def test_shutdown_under_load(cloud):
    """What has not begun stays in the queue, what runs gets a result."""
    uep = cloud.start()
    tasks = [cloud.submit(slow, 30) for _ in range(10)]
    wait_for("two running", lambda: "event=registered" in uep.log(), 10)
    time.sleep(1)
    began = time.monotonic()
    assert uep.stop() == 0
    assert time.monotonic() - began < 5
    results = cloud.drain(1)
    for rs in results.values():
        lines = rs[0]["data"].split("\n")
        assert lines[0] == "+" * 68 and lines[-1] == "-" * 68
        assert lines[-2].startswith("parsl.executors.high_throughput.errors.ManagerLost: Task failure due to loss of manager ")
        assert "shut down" in lines[-3]
    assert len(results) == 2
    assert cloud.ready() == 8 and set(results) < set(tasks)
    wait_for("no process left", lambda: not uep.children(), 5)


def test_second_consumer(cloud):
    """Somebody else holds the queue: heartbeats go on, and tasks come when it is free again."""
    other = pika.BlockingConnection(pika.URLParameters(cloud.url))
    channel = other.channel()
    channel.basic_consume(cloud.tasks, lambda *_: None, exclusive=True)
    uep = cloud.start(POOL)
    assert cloud.beat()["active"]
    time.sleep(3)
    assert uep.process.poll() is None
    other.close()
    assert cloud.result(cloud.submit(quick, mark="free"), 40) == "free"
    assert uep.stop() == 0


def test_an_unroutable_result_waits(cloud):
    uep = cloud.start(POOL)
    assert cloud.result(cloud.submit(quick, mark="before")) == "before"
    name = cloud.names["results"]
    cloud.channel.queue_unbind(name, name, "#")
    task = cloud.submit(quick, mark="returned")
    time.sleep(2)
    assert cloud.results.empty()
    cloud.channel.queue_bind(name, name, "#")
    assert cloud.result(task, 40) == "returned"
    assert uep.stop() == 0 and cloud.ready() == 0


def test_three_urls(cloud):
    """Different URLs are honoured: three connections."""
    wires = {k: Forwarder(cloud.url) for k in ("tasks", "results", "heartbeats")}
    try:
        uep = cloud.start(POOL, document={"amqp_creds": cloud.creds(**{k: w.url for k, w in wires.items()})})
        assert cloud.beat()["active"]
        assert cloud.result(cloud.submit(quick, mark="x")) == "x"
        assert [w.accepted for w in wires.values()] == [1, 1, 1]
        assert uep.stop() == 0
    finally:
        for w in wires.values():
            w.close()


def memory(creds, key, fd=None):
    """The manager's memory file."""
    fd = fd if fd is not None else os.memfd_create("credentials")
    token = Fernet(key).encrypt(json.dumps({"amqp_creds": creds}).encode())
    os.ftruncate(fd, 0)
    os.pwrite(fd, token, 0)
    return fd


def test_memory_file(cloud, wire):
    """Credentials from the memory file, read again at each connect; amqp_port applies."""
    key = base64.urlsafe_b64encode(os.urandom(32))
    fd = memory(cloud.creds(), key)
    second = Forwarder(cloud.url)
    try:
        uep = cloud.start(POOL + f"amqp_port: {wire.port}\n", pass_fds=[fd],
                          document={"amqp_creds": ..., "mem_fd": fd, "enckey": key.decode()})
        assert cloud.beat()["active"]
        assert wire.accepted == 1
        assert cloud.result(cloud.submit(quick, mark="one")) == "one"
        wrong = cloud.url.replace("://admin:", "://nobody:")
        memory(cloud.creds(wrong), key, fd)
        wire.cut()
        wait_for("refused logins", lambda: "refused the login" in uep.log(), 15)
        memory(cloud.creds(), key, fd)
        assert cloud.result(cloud.submit(quick, mark="two"), 40) == "two"
        assert uep.stop() == 0
    finally:
        os.close(fd)
        second.close()


def test_an_unreadable_memory_file(cloud):
    key = base64.urlsafe_b64encode(os.urandom(32))
    fd = os.memfd_create("credentials")
    os.write(fd, b"junk")
    try:
        uep = cloud.start(POOL, pass_fds=[fd], document={"amqp_creds": ..., "mem_fd": fd,
                                                         "enckey": key.decode()})
        assert uep.wait() == 65
    finally:
        os.close(fd)


@pytest.mark.timeout(150)
def test_wrong_credentials(cloud):
    """Gives up in about a minute, in order."""
    wrong = cloud.url.replace("://admin:", "://nobody:")
    uep = cloud.start(POOL, document={"amqp_creds": cloud.creds(wrong)})
    assert uep.wait(120) == 0
    assert 40 < time.monotonic() - uep.began < 110
    assert "Failed 5 consecutive times.  Shutting down." in uep.log()


def test_a_long_task_is_journaled(cloud):
    """Its delivery is acknowledged, and the next life runs it."""
    uep = cloud.start(POOL + "task_journal_after: 1\n")
    task = cloud.submit(slow, 6, mark="long")
    path = uep.dir / "accepted_tasks" / task
    wait_for("the journal", path.exists, 10)
    uep.kill()
    time.sleep(0.5)
    assert cloud.ready() == 0
    uep = cloud.start(POOL)
    assert cloud.result(task) == "long"
    wait_for("the journal's end", lambda: not path.exists(), 5)
    assert uep.stop() == 0
    assert len(cloud.drain(0.5)[task]) == 1


def test_tasks_within_a_second_life_of_the_channel_run_once(cloud, wire):
    """Redelivered while in flight: tracked again, not run again."""
    ran = cloud.folder / "ran"
    uep = cloud.start(POOL, document={"amqp_creds": cloud.creds(wire.url)})
    task = cloud.submit(slow, 3, str(ran), "x")
    time.sleep(1)
    wire.cut()
    assert cloud.result(task) == "x"
    cloud.drain(1)
    assert len(cloud.by_id[task]) == 1 and ran.read_text() == "x\n"
    assert uep.stop() == 0 and cloud.ready() == 0


def size_of(text):
    import time
    time.sleep(0.5)
    return len(text)


def memory_kib(uep, what):
    with open(f"/proc/{uep.process.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(what))


def test_large_arguments_do_not_fill_the_memory(cloud):
    """Beyond 32 MiB bodies wait in files; each is whole, and the files are gone in the end.
    Of the memory that it took nothing is kept."""
    body = cloud.body(size_of, "x" * 4_000_000)
    tasks = [cloud.publish(body) for _ in range(24)]
    uep = cloud.start(POOL)
    store = uep.dir / "accepted_tasks"
    wait_for("a body in a file", lambda: store.exists() and any(store.iterdir()), 20)
    assert [cloud.result(t, 60) for t in tasks] == [4_000_000] * 24
    assert list(store.iterdir()) == []
    if "ASAN_OPTIONS" not in os.environ:
        assert memory_kib(uep, "VmHWM") < 160_000
        wait_for("it gives the memory back", lambda: memory_kib(uep, "RssAnon") < 4_000, 10)
    assert uep.stop() == 0 and cloud.ready() == 0
