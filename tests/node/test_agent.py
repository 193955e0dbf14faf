"""A node agent: runs tasks, outlives its workers, leaves when it should."""

import os
import signal
import time

import pytest
from agent_probe import Endpoint


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
