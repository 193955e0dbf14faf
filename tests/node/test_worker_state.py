"""What one task can leave to the next in a warm worker, and what it can't."""

import json
import os
import subprocess
import sys
import types
import uuid

import pytest
from globus_compute_sdk.serialize import ComputeSerializer
from worker_probe import WorkerServer

PACK = ComputeSerializer()


def in_main(function):
    """As a script has it: its globals are those of __main__, so that its byte code is sent."""
    own = types.FunctionType(function.__code__, sys.modules["__main__"].__dict__, function.__name__,
                             function.__defaults__, function.__closure__)
    own.__kwdefaults__ = function.__kwdefaults__
    own.__module__ = "__main__"
    own.__qualname__ = function.__name__
    return own


def body_of(function, *args):
    buffer = PACK.pack_buffers([PACK.serialize(in_main(function)), PACK.serialize(args),
                                PACK.serialize({})])
    return b"\x01" + json.dumps({"message_type": "task", "data": {
        "task_id": str(uuid.uuid4()), "container_id": None, "container": None,
        "task_buffer": buffer}}).encode()


@pytest.fixture
def worker(tmp_path, user_python):
    with WorkerServer(python=user_python, cwd=str(tmp_path), run_dir=str(tmp_path)) as server:
        yield server.worker()


def value_of(worker, body, task_id=None):
    reply, packed = worker.run({"id": task_id or str(uuid.uuid4())}, body)
    data = json.loads(packed[1:])["data"]
    assert data["error_details"] is None, data["data"]
    return PACK.deserialize(data["data"])


def test_a_function_that_is_sent_twice_starts_afresh(worker):
    def with_list(item, seen=[]):  # noqa: B006
        seen.append(item)
        return len(seen)

    def with_keyword(item, *, seen={}):  # noqa: B006
        seen[item] = True
        return len(seen)

    def counter():
        count = 0

        def step():
            nonlocal count
            count += 1
            return count

        return step

    for function, args in ((with_list, (1,)), (with_keyword, ("k",)), (counter(), ())):
        if function.__closure__:
            function.__closure__[0].cell_contents = 0
        body = body_of(function, *args)
        assert [value_of(worker, body) for _ in range(3)] == [1, 1, 1], function.__name__


def test_what_a_task_does_to_its_function_ends_with_it(worker):
    def marked():
        import gc
        import sys

        gc.collect()  # the frame of the last one refers to itself
        frame = sys._getframe()
        me = [f for f in gc.get_referrers(frame.f_code) if getattr(f, "__code__", None) is frame.f_code]
        had = [f for f in me if hasattr(f, "mark")]
        for f in me:
            f.mark = True
            f.__defaults__ = (1,)
        return len(had), [f.__defaults__ for f in had]

    body = body_of(marked)
    for _ in range(3):
        assert value_of(worker, body)[0] == 0


def test_globals_of_main_stay_as_in_one_process(worker):
    def remember(name, value):
        old = globals().get(name)
        globals()[name] = value
        return old

    assert value_of(worker, body_of(remember, "kept", 1)) is None
    assert value_of(worker, body_of(remember, "kept", 2)) == 1


def test_the_same_text_with_other_arguments(worker):
    def add(a, b=10):
        return a + b

    assert [value_of(worker, body_of(add, n)) for n in range(3)] == [10, 11, 12]
    assert value_of(worker, body_of(add, 1, 2)) == 3


def test_task_id_everywhere(worker):
    def ids(spoil):
        import os
        import subprocess

        child = subprocess.run(["/bin/sh", "-c", "echo $GC_TASK_UUID"], capture_output=True, text=True)
        found = os.environ["GC_TASK_UUID"], child.stdout.strip(), os.popen("echo $GC_TASK_UUID").read()
        if spoil == "set":
            os.environ["GC_TASK_UUID"] = "wrong"
        elif spoil == "unset":
            del os.environ["GC_TASK_UUID"]
        elif spoil == "clear":
            os.environ.clear()
        elif spoil == "other":
            os.environ["OTHER"] = "1"
        return found

    for spoil in ("", "set", "", "unset", "", "clear", "", "other", ""):
        task_id = str(uuid.uuid4())
        assert [text.strip() for text in value_of(worker, body_of(ids, spoil), task_id)] == [task_id] * 3


def test_frames_of_every_size(worker):
    def length(text):
        return len(text)

    for size in (0, 1, 40_000, 65_000, 65_536, 70_000, 200_000, 3_000_000):
        assert value_of(worker, body_of(length, "x" * size)) == size


@pytest.mark.parametrize("size", [0, 20, 40, 57, 100, 14_500, 14_592, 14_600, 29_184, 1_000_000])
def test_the_text_of_a_result_is_the_originals(worker, size):
    """Line by line, whatever groups it is made in."""
    value = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    def same(value):
        return value

    _, packed = worker.run({"id": str(uuid.uuid4())}, body_of(same, value))
    assert json.loads(packed[1:])["data"]["data"] == PACK.serialize(value)


def test_a_warm_worker_does_not_grow(worker):
    """setenv() keeps every value it saw; a worker of days sees millions of task ids."""
    def resident():
        with open("/proc/self/statm") as f:
            return int(f.read().split()[1]) * 4

    body = body_of(resident)
    for _ in range(3000):
        first = value_of(worker, body)
    for _ in range(9000):
        last = value_of(worker, body)
    assert last - first < 512, "KiB"


def test_the_parts_are_no_modules_of_the_user(tmp_path, user_python):
    """Nothing of ours stands where a user's import would find it, and no line of ours is shown."""
    out = subprocess.run(
        [user_python, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import worker",
         os.path.join(os.path.dirname(__file__), "nowhere")], capture_output=True, text=True)
    assert "ModuleNotFoundError" in out.stderr
    with WorkerServer(python=user_python, cwd=str(tmp_path), run_dir=str(tmp_path)) as server:
        one = server.worker()
        _, packed = one.run({"id": str(uuid.uuid4())}, b"\x01{")
    text = json.loads(packed[1:])["data"]["data"]
    assert "<sallyport>" in text and "task_buffer" not in text and "python/worker" not in text
