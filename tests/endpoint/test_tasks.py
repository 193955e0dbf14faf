"""Tasks in, results out: what a user sees."""

import os
import signal

import pytest
from uep import LOCAL, POOL, Failed


def double(x):
    return 2 * x


def fail(text):
    raise ValueError(text)


@pytest.mark.parametrize("config", [LOCAL, POOL], ids=["blocks", "pool"])
def test_results_come_back(cloud, config):
    uep = cloud.start(config)
    ids = [cloud.submit(double, i) for i in range(20)]
    assert [cloud.result(t) for t in ids] == [2 * i for i in range(20)]
    result = cloud.raw(ids[0])
    assert [s["state"] for s in result["task_statuses"]] == ["execution-start", "execution-end"]
    assert result["details"]["endpoint_id"] == cloud.id
    assert uep.stop() == 0


def test_an_exception_is_the_tasks_result(cloud):
    cloud.start()
    with pytest.raises(Failed, match="ValueError: broken") as e:
        cloud.result(cloud.submit(fail, "broken"))
    assert e.value.result["error_details"]["code"] == "RemoteExecutionError"
