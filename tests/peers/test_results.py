"""Generated tasks through the original's worker function and through our worker: the same result
message, read with the classes that the service and the SDK read it with."""

import json
import pathlib
import sys
import uuid

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("globus_compute_endpoint", reason="the Python original is not installed beside this Python")

from differences import intended  # noqa: E402
from support.functions import as_users  # noqa: E402
from support.long import ALL  # noqa: E402
from globus_compute_common import messagepack  # noqa: E402
from globus_compute_common.messagepack.message_types import Task  # noqa: E402
from globus_compute_endpoint.engines.helper import execute_task  # noqa: E402
from globus_compute_sdk import serialize  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "node"))
from worker_probe import WorkerServer  # noqa: E402

ENDPOINT = uuid.UUID(int=7)
TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["\ud800", "\x00", "a\nb", "\U0001f600", "****", "\r", "'\""]))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.binary(max_size=8),
                    st.complex_numbers(), st.datetimes(), st.decimals(allow_nan=False), st.uuids())
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(TEXTS, inner, max_size=3),
    st.frozensets(st.integers(), max_size=3)), max_leaves=8)
NAMED = ["DillDataBase64", "JSONData", "AllDataStrategies"]
SERIALIZERS = st.one_of(st.none(), st.lists(st.sampled_from(
    [f"globus_compute_sdk.serialize.{name}" for name in NAMED] + ["no.such.Strategy", "globus_compute_sdk.serialize"]),
    min_size=1, max_size=3))
ERRORS = st.tuples(st.sampled_from(["ValueError", "KeyError", "OSError", "AssertionError", "StopIteration",
                                    "RuntimeError", "Exception", "EOFError", "LookupError", "TypeError"]),
                   st.lists(SCALARS, max_size=2))
CODES = st.sampled_from(["DillCode", "DillCodeSource", "PureSourceTextInspect", "CombinedCode", "AllCodeStrategies"])


def give(value):
    return value


def fail(name, arguments):
    import builtins

    raise getattr(builtins, name)(*arguments)


@pytest.fixture(scope="module")
def worker(session_folder):
    folder = session_folder / "results"
    folder.mkdir(exist_ok=True)
    with WorkerServer(cwd=str(folder), run_dir=str(folder), endpoint_id=str(ENDPOINT), sandbox=False,
                      allowed_serializers=[]) as server:
        yield server.worker()


@pytest.fixture(scope="module")
def run_dir(session_folder):
    return session_folder


def task_of(function, arguments, code):
    pack = serialize.ComputeSerializer(strategy_code=getattr(serialize, code)())
    packed = pack.serialize(as_users(function) if code == "DillCode" else function)
    buffer = pack.pack_buffers([packed, pack.serialize(arguments), pack.serialize({})])
    task = uuid.uuid4()
    return task, messagepack.pack(Task(task_id=task, task_buffer=buffer))


def last_line(text):
    return [line for line in text.splitlines() if line.strip(" +-")][-1:]


@pytest.mark.timeout(600)
@settings(max_examples=3000 if ALL else 300, deadline=None, database=None,
          derandomize=not ALL,
          suppress_health_check=list(HealthCheck))
@given(st.one_of(st.tuples(st.just(give), VALUES.map(lambda v: (v,))), st.tuples(st.just(fail), ERRORS)),
       SERIALIZERS, CODES)
def test_same_message(worker, run_dir, call, serializers, code):
    try:
        task, body = task_of(*call, code)
    except Exception:
        assume(False)  # the SDK can't send it
    try:
        theirs = execute_task(body, task, ENDPOINT, run_dir=run_dir, result_serializers=serializers)
    except Exception as e:
        assert intended("results", "half a surrogate pair") and "surrogates not allowed" in str(e), str(e)
        theirs = None
    header = {"id": str(task)} | ({"serializers": serializers} if serializers else {})
    reply, mine = worker.run(header, body)
    assert "failed" not in reply, reply
    assert mine[:1] == b"\x01"
    ours = messagepack.unpack(mine)
    assert json.loads(messagepack.pack(ours)[1:]) == json.loads(mine[1:])
    if theirs is None:
        assert ours.error_details or "\\ud" in ours.data
        return
    his = messagepack.unpack(theirs)
    assert json.loads(mine[1:])["data"].keys() == json.loads(theirs[1:])["data"].keys()
    assert ours.task_id == his.task_id == task
    assert ours.error_details == his.error_details
    assert [(s.state, s.actor) for s in ours.task_statuses] == [(s.state, s.actor) for s in his.task_statuses]
    assert ours.details == his.details
    if his.is_error:
        assert last_line(ours.data) == last_line(his.data)
    elif ours.data != his.data:
        intended("results", "bytes of a pickle")
        assert ours.data[:2] == his.data[:2]
        unpack = serialize.ComputeSerializer().deserialize
        assert repr(unpack(ours.data)) == repr(unpack(his.data))
