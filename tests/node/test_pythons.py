"""Workers of every Python that can be had here: payloads run, or one sentence names both versions."""

import base64
import json
import os
import pathlib
import subprocess
import sys
import uuid

import pytest
from globus_compute_sdk.serialize import ComputeSerializer
from globus_compute_sdk.serialize import concretes
from test_payload_cases import CASES, deserialized, result_of
from worker_probe import ROOT, WorkerServer

MINE = "%d.%d" % sys.version_info[:2]


def found():
    """{"3.12": path}: what tools/pythons has or makes; empty where it can't."""
    if os.environ.get("SALLYPORT_PYTHONS") == "no":
        return {}
    out = subprocess.run([os.path.join(ROOT, "tools", "pythons")], capture_output=True, text=True)
    return dict(line.split(None, 1) for line in out.stdout.splitlines())


PYTHONS = found()


@pytest.fixture(params=["3.8", "3.9", "3.10", "3.12", "3.13", "3.14"])
def other(request):
    if request.param not in PYTHONS:
        pytest.skip(f"no Python {request.param} here: tools/pythons could not get one")
    return request.param, PYTHONS[request.param]


@pytest.mark.parametrize("case", CASES, ids=[c["id"] for c in CASES])
def test_payload_cases(other, case, tmp_path):
    version, python = other
    result = result_of(case, python, tmp_path)
    last = result["data"].strip().splitlines()[-1]
    if "byte code of Python" in last:
        assert MINE in last.split(", which")[0] and f"the Python {version}." in last
        buffer = json.loads(base64.b64decode(case["task_message_b64"])[1:])["data"]["task_buffer"]
        assert buffer.split("\n")[1] == "01"
        return
    expect = case["expect"]
    if expect["kind"] == "error":
        assert result["error_details"] == expect["error_details"]
        return
    assert result["error_details"] is None, result["data"]
    value = deserialized(result["data"])
    if "repr" in expect and "apply" not in expect:
        assert repr(value) == expect["repr"]


MAKE = """
import base64, json, sys, dill
def plain(x, y=2):
    total = 0
    for i in range(x):
        try:
            total += [n * y for n in (i, i + 1)][0]
        except ValueError:
            pass
    return {"total": total, "by": "%d.%d" % __import__("sys").version_info[:2]}
def pack(*items):
    return "".join("%d\\n%s" % (len(i), i) for i in items)
def text(identifier, value):
    return identifier + "\\n" + base64.encodebytes(dill.dumps(value)).decode()
print(pack(text("01", plain), text("00", (4,)), text("00", {})), end="")
"""


def byte_code_of(python):
    made = subprocess.run([python, "-c", MAKE], capture_output=True, text=True, check=True)
    return made.stdout


def run(python, buffer, tmp_path, **settings):
    body = b"\x01" + json.dumps({"message_type": "task", "data": {
        "task_id": str(uuid.uuid4()), "container_id": None, "container": None,
        "task_buffer": buffer}}).encode()
    with WorkerServer(python=python, cwd=str(tmp_path), run_dir=str(tmp_path), **settings) as server:
        _, packed = server.worker().run({"id": str(uuid.uuid4())}, body)
    return json.loads(packed[1:])["data"]


def test_byte_code_of_the_same_python_runs(other, tmp_path):
    version, python = other
    for settings in ({}, {"user_python": version + ".1"}, {"user_python": MINE}):
        result = run(python, byte_code_of(python), tmp_path, **settings)
        assert result["error_details"] is None, result["data"]
        assert deserialized(result["data"]) == {"total": 12, "by": version}


def test_byte_code_of_another_python_is_refused_in_one_sentence(other, tmp_path, user_python):
    version, python = other
    for maker, made_by, worker, runs in ((python, version, user_python, MINE),
                                         (user_python, MINE, python, version)):
        for settings in ({}, {"user_python": made_by + ".0"}):
            result = run(worker, byte_code_of(maker), tmp_path, **settings)
            assert result["error_details"]["code"] == "RemoteExecutionError"
            last = result["data"].strip().splitlines()[-1]
            assert f"the Python {runs}." in last, result["data"]
            if settings:
                assert f"byte code of Python {made_by}," in last, result["data"]


def add(a, b=1):
    return a + b


@pytest.mark.parametrize("strategy", ["AllCodeStrategies", "PureSourceTextInspect",
                                      "DillCodeTextInspect", "DillCodeSource", "CombinedCode"])
def test_source_runs_everywhere(other, strategy, tmp_path):
    version, python = other
    pack = ComputeSerializer(strategy_code=getattr(concretes, strategy)(),
                             strategy_data=concretes.JSONData())
    buffer = pack.pack_buffers([pack.serialize(add), pack.serialize([3]), pack.serialize({"b": 4})])
    result = run(python, buffer, tmp_path, user_python=MINE)
    assert result["error_details"] is None, result["data"]
    assert deserialized(result["data"]) == 7


def test_one_cheap_start(other, tmp_path):
    """A worker's modules are few: nothing heavy came in by accident."""
    version, python = other
    code = ("import sys; before = set(sys.modules); sys.argv[1:] = [sys.argv[1]]\n"
            "space = {'__name__': '_sallyport'}\n"
            "exec(compile(open(sys.argv[1]).read(), 'x', 'exec'), space)\n"
            "space['load'](sys.argv[1][:-3])\n"
            "print(*sorted(set(sys.modules) - before))")
    out = subprocess.run([python, "-S", "-c", code, str(pathlib.Path(ROOT, "python", "worker.py"))],
                         capture_output=True, text=True, check=True)
    heavy = {"dill", "subprocess", "inspect", "typing", "asyncio", "logging", "ctypes", "traceback"}
    assert not heavy & set(out.stdout.split())
