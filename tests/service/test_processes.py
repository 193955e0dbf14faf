"""Several service processes on one PostgreSQL and one broker, none of them special."""

import itertools
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest
import requests
from service_rig import STANDIN, Service, online, wait_until, why_not
from site_ import Manager

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from support import postgres  # noqa: E402
from support.process import Daemon  # noqa: E402


class Member(Service):
    """One of the processes; `listener` is a socket that the test holds for all of them."""

    def __init__(self, folder, name, *options, listener=None, program=STANDIN):
        self.name, self.listener = name, listener
        super().__init__(folder, "--instance", name, *options, program=program)

    def start(self):
        argv = [str(w) for w in (self.program, "--data", self.folder / "data", "--port", "0", "--debug",
                                 *self.options)]
        self.log = open(self.folder / f"{self.name}.log", "a")
        passed = {}
        if self.listener:  # what systemd does for a socket unit
            fd = self.listener.fileno()
            argv = ["bash", "-c", f'exec 3<&{fd}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh", *argv]
            passed = {"pass_fds": [fd]}
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=self.log, text=True, **passed)
        line = self.process.stdout.readline()
        assert line.startswith("ready "), (line, (self.folder / f"{self.name}.log").read_text()[-2000:])
        self.url = line.split()[1].rstrip("/")
        self.port = int(self.url.rsplit(":", 1)[1])
        from service_rig import Description
        self.description = Description(requests.get(self.url + "/openapi.yaml", timeout=10).text)

    def text_of_log(self):
        return (self.folder / f"{self.name}.log").read_text()

    def count(self, name):
        text = self.get("/metrics", user=None).text
        return float(text.split(f"\nsallyport_{name} ")[1].split("\n")[0])


class House:
    """PostgreSQL and `sallyport broker`, for as many processes as a test wants."""

    def __init__(self, folder):
        self.folder = folder
        self.postgres = postgres.Postgres(folder / "db").start()
        self.members = []
        self.store = self.postgres.database("ledger")
        (folder / "data").mkdir(mode=0o711)
        (folder / "data" / "service.yaml").write_text(f"store: {self.store}\n")
        self.start_broker()

    def start_broker(self):
        self.broker = Daemon([str(STANDIN), "--broker-only", "--data", str(self.folder / "data")],
                             self.folder / "broker.log", {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        wait_until(lambda: "ready" in self.broker.output(), 90)

    def member(self, name, *options, **more):
        self.members.append(Member(self.folder, name, *options, **more))
        return self.members[-1]

    def end_members(self):
        for m in self.members:
            m.stop(signal.SIGKILL)
        self.members = []

    def stop(self):
        self.end_members()
        self.broker.stop(30)
        self.postgres.stop()


@pytest.fixture(scope="module")
def shared_house():
    if reason := why_not() or postgres.why_not():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="sallyport-processes-", dir="/var/tmp") as name:
        os.chmod(name, 0o711)
        made = House(pathlib.Path(name))
        yield made
        made.stop()


@pytest.fixture
def house(shared_house):
    yield shared_house
    shared_house.end_members()


class Load:
    """Submits to the processes in turn and remembers what was accepted."""

    def __init__(self, members, endpoint, function, batch=3, pause=0.05):
        self.members, self.endpoint, self.function, self.batch, self.pause = members, endpoint, function, batch, pause
        self.accepted, self.failed, self.stopping = [], [], False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        for member in itertools.cycle(self.members):
            if self.stopping:
                return
            try:
                answer = member.submit(self.endpoint, self.function, n=self.batch)
                if answer.status_code == 200:
                    self.accepted += answer.json()["tasks"][self.function]
                else:
                    self.failed.append(answer.text)
            except requests.RequestException as e:
                self.failed.append(repr(e))
            time.sleep(self.pause)

    def stop(self):
        self.stopping = True
        self.thread.join()


def statuses(service, tasks):
    results = {}
    for i in range(0, len(tasks), 1000):
        results.update(service.post("/v2/batch_status", {"task_ids": tasks[i:i + 1000]}).json()["results"])
    assert len(results) == len(tasks), "accepted tasks are not known"
    return results


def all_succeed(service, tasks, seconds=60):
    wait_until(lambda: all(d["status"] == "success" for d in statuses(service, tasks).values()), seconds)


def runs(manager):
    """task -> how often it ran, at any user endpoint of the manager."""
    found = {}
    for endpoint in manager.endpoints.values():
        for task, n in endpoint.ran.items():
            found[task] = found.get(task, 0) + n
    return found


def go_away(manager):
    for endpoint in manager.endpoints.values():
        endpoint.leave()
    manager.leave()


def test_two_share_the_work_without_sticking(house):
    a, b = house.member("a"), house.member("b")
    manager = Manager(a.register().json())  # registered here, used there
    wait_until(lambda: online(a, manager.id) and online(b, manager.id))
    function = b.function()
    load = Load([a, b], manager.id, function)
    wait_until(lambda: len(load.accepted) > 90, 60)
    load.stop()
    assert not load.failed
    all_succeed(b, load.accepted)
    assert set(runs(manager)) == set(load.accepted) and set(runs(manager).values()) == {1}
    assert a.count("tasks_accepted_total") > 0 and b.count("tasks_accepted_total") > 0
    assert a.count("processes") == b.count("processes") == 2
    assert a.count("tasks_succeeded_total") > 0 and b.count("tasks_succeeded_total") > 0
    # Each knows from the ledger that nothing is open: the endpoint leaves and is not called back.
    time.sleep(4)
    commands = len(manager.commands)
    next(iter(manager.endpoints.values())).leave()
    time.sleep(5)
    assert len(manager.commands) == commands, "a user endpoint without tasks was started"


SDK = """
import sys
import globus_sdk
from globus_compute_sdk import Client, Executor
client = Client(environment="local", authorizer=globus_sdk.AccessTokenAuthorizer("test-alice"))
with Executor(sys.argv[1], client=client, batch_size=5) as executor:
    futures = [executor.submit(pow, 3, n) for n in range(20)]
    assert [f.result(60) for f in futures] == [3 ** n for n in range(20)]
"""


def seen_by_both(a, b):
    """A manager that is registered with one and online for both."""
    manager = Manager(a.register().json())
    wait_until(lambda: online(a, manager.id) and online(b, manager.id))
    return manager


def test_the_unmodified_sdk_over_both(house):
    a, b = house.member("a"), house.member("b")
    manager = seen_by_both(a, b)
    running = [subprocess.Popen([sys.executable, "-c", SDK, manager.id], stderr=subprocess.PIPE, text=True, env={
        "PATH": os.environ["PATH"], "HOME": str(house.folder), "GLOBUS_SDK_ENVIRONMENT": "local",
        "GLOBUS_SDK_SERVICE_URL_AUTH": m.url + "/", "http_proxy": m.url}) for m in (a, b, a, b)]
    for process in running:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err[-2000:]


def test_one_of_two_is_killed(house):
    a, b = house.member("a"), house.member("b")
    manager = seen_by_both(a, b)
    function = a.function()
    load = Load([a, b], manager.id, function, pause=0.01)
    wait_until(lambda: len(load.accepted) > 100, 60)
    os.kill(a.process.pid, signal.SIGKILL)
    a.process.wait()
    before = len(load.accepted)
    wait_until(lambda: len(load.accepted) > before + 60, 60)
    load.stop()
    all_succeed(b, load.accepted, 60)
    assert set(load.accepted) <= set(runs(manager))


def test_tasks_of_the_dead_are_taken_over(house):
    """They wait in the ledger, for an endpoint that is away; their keeper is killed; it comes back."""
    a, b = house.member("a"), house.member("b")
    manager = seen_by_both(a, b)
    function = a.function()
    all_succeed(a, a.submit(manager.id, function).json()["tasks"][function])
    go_away(manager)
    wait_until(lambda: not online(a, manager.id) and not online(b, manager.id))
    waiting = a.submit(manager.id, function, n=7).json()["tasks"][function]
    own = b.submit(manager.id, function, n=2).json()["tasks"][function]
    a.stop(signal.SIGKILL)
    manager = Manager(b.register(endpoint_id=manager.id).json())
    all_succeed(b, own)
    assert not any(d["status"] == "success" for d in statuses(b, waiting).values())
    all_succeed(b, waiting, 60)  # declared dead, then taken over
    assert "event=take-over tasks=7" in b.text_of_log()
    assert {runs(manager)[t] for t in waiting + own} == {1}


def test_one_that_leaves_in_order_hands_over_at_once(house):
    a, b = house.member("a"), house.member("b")
    manager = seen_by_both(a, b)
    function = a.function()
    all_succeed(a, a.submit(manager.id, function).json()["tasks"][function])
    go_away(manager)
    wait_until(lambda: not online(a, manager.id))
    waiting = a.submit(manager.id, function, n=5).json()["tasks"][function]
    time.sleep(20)  # b has seen enough to judge
    a.stop()
    wait_until(lambda: "event=take-over tasks=5" in b.text_of_log(), 12)
    manager = Manager(b.register(endpoint_id=manager.id).json())
    all_succeed(b, waiting)


def test_the_next_in_its_place_knows_that_it_is_gone(house):
    """A single process on PostgreSQL that is killed and started again waits for nobody's death."""
    a = house.member("a")
    manager = Manager(a.register().json())
    wait_until(lambda: online(a, manager.id))
    function = a.function()
    all_succeed(a, a.submit(manager.id, function).json()["tasks"][function])
    go_away(manager)
    wait_until(lambda: not online(a, manager.id))
    waiting = a.submit(manager.id, function, n=5).json()["tasks"][function]
    a.restart(signal.SIGKILL)
    assert "event=take-over tasks=5" in a.text_of_log()
    manager = Manager(a.register(endpoint_id=manager.id).json())
    all_succeed(a, waiting)


def test_rolling_restart_without_a_failed_request(house):
    """Both accept from one socket that their supervisor holds; each is replaced in turn."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        a = house.member("a", listener=listener)
        b = house.member("b", listener=listener)
        assert a.port == b.port == listener.getsockname()[1]
        manager = Manager(a.register().json())
        wait_until(lambda: online(a, manager.id))
        function = a.function()
        loads = [Load([a], manager.id, function, batch=1, pause=0) for _ in range(4)]
        session, kept, stop = requests.Session(), [], threading.Event()

        def keep_alive():
            while not stop.is_set():
                kept.append(session.get(a.url + "/v2/version", timeout=60).status_code)

        keeper = threading.Thread(target=keep_alive)
        keeper.start()
        for member in (a, b, a, b):
            time.sleep(1)
            member.restart()
        time.sleep(1)
        stop.set()
        for load in loads:
            load.stop()
        keeper.join()
        for load in loads:
            assert load.failed == [], load.failed[:3]
        assert set(kept) == {200}
        accepted = [t for load in loads for t in load.accepted]
        all_succeed(b, accepted)
        assert set(accepted) <= set(runs(manager))


def test_the_broker_lets_endpoints_in_while_no_service_runs(house):
    import pika
    a = house.member("a")
    manager = Manager(a.register().json())
    wait_until(lambda: online(a, manager.id))
    a.stop()
    time.sleep(6)  # longer than the broker remembers an answer
    connection = pika.BlockingConnection(pika.URLParameters(manager.info["command_queue_info"]["connection_url"]))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="403"):
        connection.channel().basic_get("results")
    assert connection.channel().basic_get(manager.info["command_queue_info"]["queue"]) is not None
    connection.close()
    a.start()
    # Its connections are ended from the service, at a node that is not its child.
    assert a.post(f"/v3/endpoints/{manager.id}/lock", {}).status_code in (200, 204)
    wait_until(lambda: not manager.connection.is_open, 20)


def test_what_does_not_go_together(house, tmp_path):
    def refused(data, *options, env=None):
        p = subprocess.run([STANDIN, "--data", data, "--port", "0", *options], capture_output=True, text=True,
                           timeout=30, env=env)
        assert p.returncode != 0
        return p.stderr

    data = house.folder / "data"
    assert "PostgreSQL" in refused(tmp_path / "x", "--instance", "a")
    assert "letters, digits" in refused(data, "--instance", "../a")
    assert "another ledger" in refused(data, "--instance", "a", "--store", house.postgres.database(f"other{time.time_ns()}"))
    assert "sallyport broker" in refused(tmp_path / "y", "--instance", "a", "--store", house.store)
    a = house.member("a")
    assert "in use by another service" in refused(data, "--instance", "a")
    with open(os.devnull) as null:
        p = subprocess.run(["bash", "-c", f'exec 3<&{null.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', "sh",
                            str(STANDIN), "--data", str(data), "--instance", "c"], pass_fds=[null.fileno()],
                           capture_output=True, text=True, timeout=30)
        assert p.returncode == 1 and "does not listen for TCP" in p.stderr
    assert a.get("/readyz", user=None).status_code == 200


def test_the_database_is_killed_under_load(house):
    a, b = house.member("a"), house.member("b")
    manager = seen_by_both(a, b)
    function = a.function()
    load = Load([a, b], manager.id, function, pause=0.02)
    wait_until(lambda: len(load.accepted) > 60, 60)
    house.postgres.crash()
    answer = a.get("/readyz", user=None)
    assert answer.status_code == 503 and answer.json() == {"ledger": False, "broker": True}
    assert a.get("/healthz", user=None).status_code == 200
    house.postgres.start()
    for member in (a, b):
        wait_until(lambda m=member: m.get("/readyz", user=None).status_code == 200, 60)
    before = len(load.accepted)
    wait_until(lambda: len(load.accepted) > before + 30, 60)
    load.stop()
    all_succeed(a, load.accepted, 90)
    assert set(load.accepted) <= set(runs(manager))
    assert a.process.poll() is None and b.process.poll() is None
