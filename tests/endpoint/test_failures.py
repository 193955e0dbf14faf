"""Error texts that users meet (U31-U34), audit records (U36)."""

import os
import re
import time

import pytest
from uep import LOCAL, POOL, Failed


def give(x=None):
    return x


def leave(how):
    import os
    import signal
    import sys
    if how == "exit":
        sys.exit(3)
    if how == "interrupt":
        raise KeyboardInterrupt
    os.kill(os.getpid(), signal.SIGKILL)


def text_of(n):
    return "x" * n


@pytest.mark.parametrize("config", [LOCAL, POOL], ids=["blocks", "pool"])
@pytest.mark.parametrize("how,last", [("exit", "SystemExit: 3"), ("interrupt", "KeyboardInterrupt")])
def test_what_is_no_exception(cloud, config, how, last):
    cloud.start(config)
    with pytest.raises(Failed) as e:
        cloud.result(cloud.submit(leave, how))
    assert str(e.value).rstrip().endswith(last)


@pytest.mark.parametrize("retries", [0, 2])
def test_worker_lost(cloud, retries):
    cloud.start(LOCAL.replace("cores_per_worker", f"max_retries_on_system_failure: {retries}\n  cores_per_worker"))
    with pytest.raises(Failed) as e:
        cloud.result(cloud.submit(leave, "kill"))
    groups = str(e.value).split("-" * 68)
    assert groups[-1] == "" and len(groups) == retries + 2
    for i, group in enumerate(groups[:-1]):
        lines = group.strip("\n").split("\n")
        assert lines[0] == "+" * 68
        if retries:
            assert lines[1] == f"Traceback from attempt: {i if i < retries else 'final attempt'}"
        assert re.fullmatch(r"parsl\.executors\.high_throughput\.errors\.WorkerLost: Task failure due to loss of "
                            r"worker \d+ on host \S+", lines[-1])
    result = e.value.result
    assert [(s["state"], s["actor"]) for s in result["task_statuses"]] == [
        ("waiting-for-launch", "interchange"), ("execution-end", "interchange")]
    assert result["details"] is None
    assert cloud.result(cloud.submit(give, 1)) == 1


def test_bad_state(cloud):
    """No block comes up: every task fails with the story, and the endpoint leaves."""
    uep = cloud.start(LOCAL.replace("init_blocks: 0", 'init_blocks: 0, worker_init: "echo no module >&2; exit 7"'))
    tasks = [cloud.submit(give) for _ in range(3)]
    for task in tasks:
        with pytest.raises(Failed) as e:
            cloud.result(task)
        text = str(e.value)
        assert "parsl.executors.errors.BadStateException: Executor GlobusComputeEngine-HighThroughputExecutor " \
               "failed due to: Error 1:\n\tJob is marked as MISSING since the workers failed to register" in text
        assert "EXIT CODE: 7" in text and "no module" in text
    assert uep.wait() == 0


SPECS = [
    (LOCAL, '{"num_nodes": 2}', "parsl.executors.errors.InvalidResourceSpecification: Invalid Resource "
     "Specification Supplied: {'num_nodes'}. Task resource specification only accepts these types of resources: priority"),
    (POOL, '{"priority": 2}', "ValueError: resource_specification is not supported on ProcessPoolEngine.  "
     "For MPI apps, use GlobusMPIEngine."),
]


@pytest.mark.parametrize("config,spec,last", SPECS, ids=["blocks", "pool"])
def test_resource_specification(cloud, config, spec, last):
    uep = cloud.start(config)
    with pytest.raises(Failed) as e:
        cloud.result(cloud.submit(give, headers={"resource_specification": spec}))
    lines = str(e.value).split("\n")
    assert lines[0] == "+" * 68 and lines[-1] == "-" * 68 and lines[-2] == last
    assert uep.stop() == 0 and cloud.ready() == 0


def test_priority(cloud):
    import json
    uep = cloud.start(LOCAL.replace("max_workers_per_node: 2", "max_workers_per_node: 1"))
    order = []
    first = cloud.submit(pause, 1.5)
    time.sleep(0.7)
    tasks = {cloud.submit(give, p, headers={"resource_specification": json.dumps({"priority": p} if p else {})}): p
             for p in (None, 5, 1, 3)}
    cloud.result(first)
    while len(order) < 4:
        order.append(tasks[cloud.next_result()["task_id"]])
    assert order == [1, 3, 5, None]
    uep.stop()


def pause(seconds):
    import time
    time.sleep(seconds)


def test_size_limit(cloud):
    """10 485 760 characters of serialised value pass, one more does not."""
    uep = cloud.start(POOL)
    limit = 10 * 1024 * 1024
    headers = {"result_serializers": ["globus_compute_sdk.serialize.JSONData"]}
    fits = cloud.submit(text_of, limit - len('11\n""'), headers=headers)
    assert len(cloud.result(fits, 60)) == limit - 5
    more = cloud.submit(text_of, limit - len('11\n""') + 1, headers=headers)
    result = cloud.raw(more, 60)
    assert result["data"] == f"MaxResultSizeExceeded({limit + 1}, {limit})"
    assert result["error_details"] == {"code": "MaxResultSizeExceeded", "user_message":
                                       f"remote error: Task result of {limit + 1}B exceeded current limit of {limit}B"}
    assert uep.stop() == 0


def test_audit(cloud):
    read, write = os.pipe2(os.O_DIRECT)
    try:
        uep = cloud.start("high_assurance: true\n" + LOCAL, pass_fds=[write],
                          document={"audit_fd": write, "allowed_functions": None})
        f = "0" * 8 + "-1111-4222-8333-" + "0" * 12
        task = cloud.submit(give, 1, function_id=f)
        assert cloud.result(task) == 1
        assert uep.stop() == 0
        records = [os.read(read, 4096).decode() for _ in range(4)]
    finally:
        os.close(read)
        os.close(write)
    who = f"fid={f} tid={task} "
    assert records[0] == who + "bid= RECEIVED"
    assert records[1] == who + "bid= EXEC_START"
    assert re.fullmatch(who + r"bid=0 jid=\d+ RUNNING", records[2])
    assert re.fullmatch(who + r"bid=0 jid=\d+ EXEC_END", records[3])


def test_audit_that_cannot_be_written(cloud):
    read, write = os.pipe2(os.O_DIRECT)
    uep = cloud.start("high_assurance: true\n" + LOCAL, pass_fds=[write], document={"audit_fd": write})
    os.close(read)
    os.close(write)
    cloud.beat()
    cloud.submit(give, 1)
    assert uep.wait() == 0
    assert "Unable to write audit log; endpoint may not continue" in uep.log()
