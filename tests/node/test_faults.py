"""Tasks that misbehave: one clear error (or the right result) each, and the next task unharmed.

What ends a worker (exit, signals, closed descriptors) is in test_agent.py, what is no exception in
tests/endpoint/test_failures.py, results over the limit and without a serializer there and in the
payload cases."""

import os
import signal
import time

import pytest

LOST = "parsl.executors.high_throughput.errors.WorkerLost: Task failure due to loss of worker 0 on host "


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(is_alive(p) for p in pids):
        time.sleep(0.05)
    assert [p for p in pids if is_alive(p)] == []


def outcome(e, name, function, *args, timeout=30):
    """("result" | "error" | "lost", value or text)."""
    e.submit(name, function, *args)
    task_id, value = e.result(timeout)
    assert task_id == name
    if isinstance(value, dict) and value.get("kind"):
        return "lost", value["text"]
    if isinstance(value, RuntimeError):
        return "error", str(value).rstrip()
    return "result", value


def works(e, name="next"):
    return outcome(e, name, lambda: 7) == ("result", 7)


def too_much_memory():
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    try:
        return len(bytearray(4 << 30))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.getrlimit(resource.RLIMIT_AS)[1],) * 2)


def endless():
    def down(n):
        return down(n + 1)

    return down(0)


def base_exception():
    class Odd(BaseException):
        pass

    raise Odd("neither fish nor fowl")


def exit_with_text():
    import sys

    sys.exit("enough")


def unpicklable_exception():
    import threading

    class Held(Exception):
        def __init__(self):
            super().__init__("holds a lock")
            self.lock = threading.Lock()

        def __reduce__(self):
            raise TypeError("never")

    raise Held


def exception_without_text():
    class Mute(Exception):
        def __str__(self):
            raise ValueError("no text")

    raise Mute


def unpicklable_result():
    return (i for i in range(3))


def result_that_exits():
    class Exits:
        def __reduce__(self):
            raise SystemExit(9)

    return Exits()


def nested_result():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


def long_exception():
    raise ValueError("x" * 20_000_000 + " the end")


@pytest.mark.parametrize("function, last", [
    (too_much_memory, "MemoryError"),
    (endless, "RecursionError: maximum recursion depth exceeded"),
    (base_exception, "Odd: neither fish nor fowl"),
    (exit_with_text, "SystemExit: enough"),
    (unpicklable_exception, "Held: holds a lock"),
    (exception_without_text, ("Mute: <exception str() failed>", "Mute: <unprintable Mute object>")),
    (unpicklable_result, "SerializationError: Serialization failed: All strategies failed."),
    (result_that_exits, "SystemExit: 9"),
    (nested_result, "SerializationError: Serialization failed: All strategies failed."),
    (long_exception, "x the end"),
], ids=lambda v: getattr(v, "__name__", ""))
def test_one_clear_error(endpoint, function, last):
    e = endpoint(max_workers=1)
    pid = outcome(e, "before", worker_pid)
    kind, text = outcome(e, "bad", function)
    assert kind == "error" and text.split("\n")[-1].endswith(last), text[-2000:]
    assert len(text) < 1_100_000
    assert outcome(e, "after", worker_pid) == pid, "an exception ends no worker"


def worker_pid():
    import os

    return os.getpid()


def die_of_memory():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)  # what the kernel does when the memory is used up


def die_of_a_null_pointer():
    import ctypes

    ctypes.string_at(0)


def abort():
    import os

    os.abort()


def close_all():
    import os

    os.closerange(0, 1000)
    return "nobody will know"


def die_in_a_thread():
    import os
    import threading
    import time

    threading.Timer(0.1, os._exit, [5]).start()
    time.sleep(60)


@pytest.mark.parametrize("function, how", [
    (die_of_memory, "signal 9"), (die_of_a_null_pointer, "signal 11"), (abort, "signal 6"),
    (close_all, ""), (die_in_a_thread, "exit status 5"),
], ids=lambda v: getattr(v, "__name__", ""))
def test_a_lost_worker_is_told_and_replaced(endpoint, function, how):
    e = endpoint(max_workers=1)
    for name in ("one", "two"):
        kind, text = outcome(e, name, function)
        assert kind == "lost" and how in text and text.split("\n")[-1].startswith(LOST)
    assert works(e)


def test_one_that_will_not_end_is_killed(endpoint):
    """Past its limit, with the exception that says so swallowed each time; the neighbour goes on."""
    e = endpoint(env={"GC_TASK_TIMEOUT": "1"}, max_workers=2)

    def stubborn():
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass

    e.submit("stubborn", stubborn)
    assert works(e)
    task_id, value = e.result(40)
    assert task_id == "stubborn" and "signal 9" in value["text"] and LOST[:60] in value["text"]
    assert works(e, "later")


def test_a_gigabyte_of_output(endpoint):
    """It goes where the block's output goes, through no memory of ours."""
    e = endpoint(max_workers=1, output="/dev/null")

    def flood():
        import os
        import sys

        piece = "x" * (1 << 20)
        for _ in range(512):
            sys.stdout.write(piece)
            os.write(2, piece.encode())
        return "done"

    assert outcome(e, "flood", flood, timeout=120) == ("result", "done")
    with open(f"/proc/{e.agent.pid}/status") as f:
        peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    assert peak < 64 << 10 or "ASAN_OPTIONS" in os.environ, "KiB"
    assert works(e)


def spoil(how):
    import os
    import signal
    import sys

    if how == "stdout":
        sys.stdout = sys.stderr = None
    elif how == "flush":
        class Leaves:
            def write(self, text):
                pass

            def flush(self):
                sys.exit(3)

        sys.stdout = Leaves()
    elif how == "stdin":
        os.close(0)
    elif how == "output":
        os.close(1)
        os.close(2)
    elif how == "umask":
        os.umask(0o777)
    elif how == "handlers":
        for signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
            signal.signal(signo, signal.SIG_IGN)
    elif how == "blocked":
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    elif how == "alarm":
        signal.setitimer(signal.ITIMER_REAL, 0.2)
    elif how == "thread":
        import threading
        import time

        threading.Thread(target=time.sleep, args=[3600]).start()
    elif how == "cwd":
        os.mkdir("gone")
        os.chdir("gone")
        os.rmdir("../gone")
    elif how == "recursion":
        sys.setrecursionlimit(60)
    elif how == "path":
        sys.path.clear()
        sys.meta_path.clear()
    return "done"


@pytest.mark.parametrize("how", ["stdout", "flush", "stdin", "output", "umask", "handlers", "blocked", "alarm",
                                 "thread", "cwd", "recursion", "path"])
def test_what_a_task_does_to_its_process(endpoint, how):
    """It gets its result, the next ones run in the same worker, and the block ends all the same."""
    e = endpoint(max_workers=1)

    def look():
        import os
        import time

        time.sleep(0.5)
        mask = os.umask(0)
        os.umask(mask)
        return os.getpid(), os.getcwd(), mask

    before = outcome(e, "before", look)
    assert outcome(e, "bad", spoil, how) == ("result", "done")
    first, second = outcome(e, "one", look), outcome(e, "two", look)
    assert before[0] == "result" and before == first == second
    e.agent.send_signal(signal.SIGTERM)
    assert e.agent.wait(20) == 0
    wait_until_gone([first[1][0]])


def leave_children():
    """Children that outlive the task: [pids], the second ignores what can be ignored."""
    import subprocess

    stubborn = "trap '' TERM HUP INT; while :; do sleep 1; done"
    return [subprocess.Popen(["/bin/sh", "-c", text]).pid for text in ("exec sleep 3600", stubborn)]


@pytest.mark.parametrize("end", ["stop", "lost", "agent", "server"])
def test_no_child_of_a_task_outlives_its_worker(endpoint, end):
    e = endpoint(max_workers=1)
    kind, pids = outcome(e, "parent", leave_children)
    assert kind == "result" and works(e) and all(is_alive(p) for p in pids)
    try:
        if end == "stop":
            e.agent.send_signal(signal.SIGTERM)
        elif end == "lost":
            outcome(e, "lost", die_of_memory)
        elif end == "agent":
            e.agent.kill()
        else:
            worker = outcome(e, "pid", worker_pid)[1]
            with open(f"/proc/{worker}/stat") as f:
                os.kill(int(f.read().rsplit(")", 1)[1].split()[1]), signal.SIGKILL)
        wait_until_gone(pids)
        assert end not in ("lost", "server") or works(e, "after")
    finally:
        for p in pids:
            if is_alive(p):
                os.kill(p, signal.SIGKILL)


def test_a_fork_that_comes_back_and_a_daemon(endpoint):
    """Only the worker answers; what the others do is theirs."""
    e = endpoint(max_workers=1)

    def twice():
        import os

        for _ in range(3):
            if os.fork() == 0:
                return "child"
        return "parent"

    def daemon():
        import os
        import time

        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(1)
                raise SystemExit
            os._exit(0)
        os.wait()
        return "parent"

    assert outcome(e, "fork", twice) == ("result", "parent")
    assert outcome(e, "daemon", daemon) == ("result", "parent")
    time.sleep(1.5)
    assert works(e)
    assert not [m for m in e.inbox if m[0] in "RL"], "one answer a task"
