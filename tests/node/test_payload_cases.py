"""The worker against every payload that the original's worker ran (tests/data/payload-cases.json)."""

import base64
import json
import os

import pytest
from worker_probe import ROOT, WorkerServer

with open(os.path.join(ROOT, "tests/data/payload-cases.json")) as f:
    CASES = json.load(f)["cases"]


def result_of(case, python, tmp_path):
    run = case.get("run") or {}
    headers = case.get("headers") or {}
    serializers = headers.get("result_serializers")
    env = {**os.environ, **(run.get("env") or {})}
    with WorkerServer(
        python=python,
        cwd=str(tmp_path),
        env=env,
        run_dir=str(tmp_path),
        sandbox=bool(run.get("run_in_sandbox")),
        allowed_serializers=run.get("task_deserializers") or [],
        endpoint_id="11111111-2222-4333-8444-555555555555",
    ) as server:
        header = {"id": case["task_id"]}
        if serializers:
            header["serializers"] = json.loads(serializers) if isinstance(serializers, str) else serializers
        reply, body = server.worker().run(header, base64.b64decode(case["task_message_b64"]))
    assert "failed" not in reply, reply
    assert body[0] == 1
    message = json.loads(body[1:])
    assert message["message_type"] == "result"
    return message["data"]


def deserialized(data):
    from globus_compute_sdk.serialize import ComputeSerializer

    return ComputeSerializer().deserialize(data)


@pytest.mark.parametrize("case", CASES, ids=[c["id"] for c in CASES])
def test_case(case, tmp_path, user_python):
    expect = case["expect"]
    result = result_of(case, user_python, tmp_path)
    assert result["task_id"] == case["task_id"]
    assert [[s["state"], s["actor"]] for s in result["task_statuses"]] == expect.get(
        "task_statuses", [["execution-start", "worker"], ["execution-end", "worker"]]
    )
    for key in expect.get("details_keys", []):
        assert key in result["details"]
    if expect["kind"] == "error":
        assert result["error_details"] == expect["error_details"]
        if "last_exception_line" in expect:
            assert expect["last_exception_line"] in result["data"].split("\n")
        if "data_exact" in expect:
            assert result["data"] == expect["data_exact"]
        return
    assert result["error_details"] is None, result["data"]
    assert result["data"][:2] == expect["result_id"]
    if "data_exact" in expect:
        assert result["data"] == expect["data_exact"]
    value = deserialized(result["data"])
    if "apply" in expect:
        value = value(*expect["apply"])
    if "fields" in expect:
        for name, wanted in expect["fields"].items():
            got = value[name] if isinstance(value, dict) else getattr(value, name)
            assert got == wanted, name
    elif "repr" in expect:
        assert repr(value) == expect["repr"]
