"""A real node agent and its workers, with a user endpoint played by pyzmq."""

import builtins
import json
import os
import secrets
import signal
import subprocess
import time
import types

import pytest
import zmq
from globus_compute_sdk.serialize import ComputeSerializer
from worker_probe import ROOT

PREFIX = os.environ.get("SALLYPORT_PREFIX", os.path.join(ROOT, "build", "stage"))
AGENT = os.environ.get("SALLYPORT_NODE_AGENT", PREFIX + "/libexec/sallyport/node-agent")


def as_users(function):
    """The function as a user's script would have it: in __main__, not in a test module."""
    space = {"__name__": "__main__", "__builtins__": builtins}
    f = types.FunctionType(function.__code__, space, function.__name__, function.__defaults__,
                           function.__closure__)
    f.__module__ = "__main__"
    return f


class Endpoint:
    """The other side of the link: a ROUTER that speaks what link.h says."""

    def __init__(self, tmp_path, user_python, env=None, **settings):
        self.dir = tmp_path
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        public, secret = zmq.curve_keypair()
        self.socket.curve_server = True
        self.socket.curve_secretkey = secret
        self.socket.linger = 0
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.token = secrets.token_hex(32)
        key_file = tmp_path / "link.key"
        key_file.write_text(f"public {public.decode()}\ntoken {self.token}\n")
        key_file.chmod(0o600)
        run_dir = tmp_path / "run"
        run_dir.mkdir(exist_ok=True)
        self.settings = {"run_dir": str(run_dir), "heartbeat_period": 1, "heartbeat_threshold": 5,
                         "max_workers": 2, "cores_per_worker": 0.5, **settings}
        self.stderr = open(tmp_path / "agent.err", "w+")
        self.agent = subprocess.Popen(
            [AGENT, "--addresses", "127.0.0.1", "--port", str(port), "--key-file", str(key_file),
             "--block-id", "3", "--probe-timeout", "10"],
            stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr, cwd=str(tmp_path),
            env={**os.environ, "GC_WORKER_PYTHON": user_python, **(env or {})},
        )
        self.identity = None
        self.ready = None
        self.inbox = []

    def send(self, kind, value=None, body=None):
        head = kind.encode() + (json.dumps(value).encode() if value is not None else b"")
        self.socket.send_multipart([self.identity, head] + ([body] if body is not None else []))

    def next(self, kinds, timeout=20):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for i, message in enumerate(self.inbox):
                if message[0] in kinds:
                    return self.inbox.pop(i)
            if not self.socket.poll(200):
                continue
            identity, head, *body = self.socket.recv_multipart()
            kind, rest = chr(head[0]), head[1:]
            value = json.loads(rest) if kind in "HYLG" else rest.decode()
            if kind == "H":
                assert value["token"] == self.token
                self.identity = identity
                self.send("W", self.settings)
            elif kind == "B":
                self.send("B")
            self.inbox.append((kind, value, body[0] if body else None))
        self.stderr.seek(0)
        raise AssertionError(f"no {kinds} within {timeout} s; agent said: {self.stderr.read()}")

    def start(self):
        self.ready = self.next("Y")[1]
        return self

    def submit(self, task_id, function, *args, **header):
        ser = ComputeSerializer()
        buffer = ser.pack_buffers([ser.serialize(as_users(function)), ser.serialize(args), ser.serialize({})])
        body = b"\x01" + json.dumps({"message_type": "task", "data": {
            "task_id": task_id, "container_id": None, "container": None, "task_buffer": buffer}}).encode()
        self.send("T", {"id": task_id, **header}, body)

    def result(self, timeout=30):
        kind, task_id, body = self.next("RL", timeout)
        if kind == "L":
            return task_id["id"], task_id
        data = json.loads(body[1:])["data"]
        if data["error_details"]:
            return task_id, RuntimeError(data["data"])
        return task_id, ComputeSerializer().deserialize(data["data"])

    def close(self):
        if self.agent.poll() is None:
            self.agent.kill()
        self.agent.wait(10)
        self.socket.close()
        self.context.term()
        self.stderr.close()


@pytest.fixture
def endpoint(tmp_path, user_python):
    made = []

    def make(env=None, **settings):
        e = Endpoint(tmp_path, user_python, env, **settings)
        made.append(e)
        return e.start()

    yield make
    for e in made:
        e.close()


def test_runs_tasks_side_by_side(endpoint):
    e = endpoint()
    assert e.ready["workers"] == 2 and e.ready["capacity"] == 2

    def work(x):
        import os
        import time

        time.sleep(0.2)
        return x * 2, os.environ["PARSL_WORKER_RANK"], os.environ["GC_TASK_UUID"]

    for i in range(6):
        e.submit(f"task-{i}", work, i)
    results = dict(e.result() for _ in range(6))
    assert {k: v[0] for k, v in results.items()} == {f"task-{i}": 2 * i for i in range(6)}
    assert {v[1] for v in results.values()} == {"0", "1"}
    assert all(v[2] == k for k, v in results.items())


@pytest.mark.parametrize("how, words", [
    ("import os; os._exit(3)", "exit status 3"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
    ("import os; os.closerange(3, 1000); import time; time.sleep(60)", "signal 9"),
])
def test_a_dying_worker_costs_one_task(endpoint, how, words):
    e = endpoint(max_workers=1)

    def die(code):
        exec(code)

    e.submit("bad", die, how)
    task_id, value = e.result()
    assert task_id == "bad" and value["kind"] == "worker"
    assert words in value["text"]
    assert value["text"].split("\n")[-1].startswith(
        "parsl.executors.high_throughput.errors.WorkerLost: Task failure due to loss of worker 0 on host ")
    e.submit("good", lambda: 7)
    assert e.result() == ("good", 7)


def test_system_exit_and_fork_are_ordinary(endpoint):
    e = endpoint(max_workers=1)

    def leave():
        raise SystemExit(4)

    def split():
        import os

        return os.fork() == 0

    e.submit("exit", leave)
    task_id, value = e.result()
    assert "SystemExit: 4" in str(value)
    e.submit("fork", split)
    assert e.result() == ("fork", False)
    e.submit("after", lambda: "ok")
    assert e.result() == ("after", "ok")


def test_time_limit_interrupts_a_blocking_call(endpoint):
    e = endpoint(env={"GC_TASK_TIMEOUT": "1"}, max_workers=1)

    def sleep():
        import time

        time.sleep(60)

    began = time.monotonic()
    e.submit("slow", sleep)
    _, value = e.result()
    assert "parsl.app.errors.AppTimeout" in str(value)
    assert time.monotonic() - began < 15


def test_environment_and_place_are_restored(endpoint):
    e = endpoint(max_workers=1, sandbox=True)

    def spoil():
        import os

        os.environ["LEAK"] = "1"
        os.environ.pop("PATH", None)
        os.chdir("/")
        return os.environ["GC_TASK_SANDBOX_DIR"]

    def look():
        import os

        return os.environ.get("LEAK"), "PATH" in os.environ, os.getcwd()

    e.submit("one", spoil)
    e.submit("two", look)
    assert e.result()[1].endswith("/run/one")
    leak, path, cwd = e.result()[1]
    assert (leak, path) == (None, True) and cwd.endswith("/run/two")


def test_output_floods_stay_out_of_the_channel(endpoint):
    e = endpoint(max_workers=1)

    def shout():
        import sys

        for _ in range(200):
            sys.stdout.write("x" * 100_000)
        return "done"

    e.submit("loud", shout)
    assert e.result() == ("loud", "done")


def test_drain_finishes_what_it_has(endpoint):
    e = endpoint(max_workers=1)

    def slow():
        import time

        time.sleep(1)
        return "finished"

    e.submit("last", slow)
    e.next("S")
    e.send("D")
    assert e.result() == ("last", "finished")
    assert e.next("G")[1] == "drained"
    assert e.agent.wait(10) == 0


def test_a_silent_endpoint_is_left(endpoint):
    e = endpoint(heartbeat_threshold=2)
    e.socket.close()
    assert e.agent.wait(20) == 0


def test_nothing_is_left_behind(endpoint):
    e = endpoint(max_workers=2)

    def pid():
        import os
        import time

        time.sleep(0.3)
        return os.getpid()

    e.submit("a", pid)
    e.submit("b", pid)
    pids = [e.result()[1], e.result()[1]]
    e.agent.send_signal(signal.SIGKILL)
    e.agent.wait(10)
    end = time.monotonic() + 5
    while time.monotonic() < end and any(os.path.exists(f"/proc/{p}") for p in pids):
        time.sleep(0.05)
    assert not any(os.path.exists(f"/proc/{p}") for p in pids)


def test_unusable_python_is_told(tmp_path):
    e = Endpoint(tmp_path, "/nonexistent/python")
    try:
        kind, why, _ = e.next("G")
        assert "GC_WORKER_PYTHON names /nonexistent/python" in why
        assert e.agent.wait(10) == 1
    finally:
        e.close()
