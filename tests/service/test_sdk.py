"""The unmodified SDK against the service, with a site made of Python."""

import pytest
from conftest import wait_until
from globus_compute_sdk import Executor
from globus_compute_sdk.errors import TaskExecutionFailed
from globus_compute_sdk.serialize import JSONData


def double(x):
    return 2 * x


def fails():
    raise ValueError("no such thing")


def test_first_task_starts_the_user_endpoint_and_comes_back(site, client):
    manager = site()
    with Executor(endpoint_id=manager.id, client=client()) as executor:
        assert executor.submit(double, 21).result(30) == 42
        futures = [executor.submit(double, i) for i in range(200)]
        assert [f.result(30) for f in futures] == [2 * i for i in range(200)]
    assert len(manager.endpoints) == 1
    properties, command = manager.commands[0]
    assert properties.expiration
    assert command["kwargs"]["user_opts"] == {}
    assert command["kwargs"]["user_runtime"]["globus_compute_sdk_version"]
    assert command["globus_identity_set"][0]["status"] == "used"
    assert all(n == 1 for e in manager.endpoints.values() for n in e.ran.values())


def test_an_exception_arrives(site, client):
    manager = site()
    with Executor(endpoint_id=manager.id, client=client()) as executor:
        with pytest.raises(TaskExecutionFailed, match="no such thing"):
            executor.submit(fails).result(30)


def test_options_and_serializers_arrive(site, client):
    manager = site()
    with Executor(endpoint_id=manager.id, client=client(), user_endpoint_config={"b": 1, "a": [2]},
                  resource_specification={"num_nodes": 2}) as executor:
        executor.result_serializers = [JSONData()] if hasattr(executor, "result_serializers") else None
        assert executor.submit(double, 4).result(30) == 8
    assert manager.commands[0][1]["kwargs"]["user_opts"] == {"b": 1, "a": [2]}
    properties, _ = next(iter(manager.endpoints.values())).tasks[0]
    assert "num_nodes" in properties.headers["resource_specification"]


def test_the_managers_sentence_reaches_the_future(site, client):
    manager = site(on_start=lambda m, c: m.refuse(c, "Identity failed to map to a local user name."))
    with Executor(endpoint_id=manager.id, client=client()) as executor:
        future = executor.submit(double, 1)
        with pytest.raises(Exception, match="Identity failed to map") as caught:
            future.result(30)
    assert getattr(caught.value, "http_status", None) == 422
    assert caught.value.code == "SEMANTICALLY_INVALID"


def test_polling_client(site, client):
    manager = site()
    sdk = client()
    function = sdk.register_function(double)
    task = sdk.run(5, endpoint_id=manager.id, function_id=function)
    wait_until(lambda: not sdk.get_task(task)["pending"])
    assert sdk.get_result(task) == 10


def test_source_with_non_ascii_text(site, client):
    manager = site()
    sdk = client()
    function = sdk.register_source_code("def greet(name):\n    return 'é ' + name\n", "greet")
    task = sdk.run("ü", endpoint_id=manager.id, function_id=function)
    wait_until(lambda: not sdk.get_task(task)["pending"])
    assert sdk.get_result(task) == "é ü"


def test_reload_tasks_in_a_new_executor(site, client):
    hold = {}

    def start(m, command):
        hold["ep"] = m.start_endpoint(command, hold=True)

    manager = site(on_start=start)
    with Executor(endpoint_id=manager.id, client=client()) as first:
        futures = [first.submit(double, i) for i in range(3)]
        wait_until(lambda: len(hold.get("ep").tasks if hold else []) == 3)
        group = first.task_group_id
        first.shutdown(wait=False, cancel_futures=True)
    assert futures
    with Executor(endpoint_id=manager.id, client=client(), task_group_id=group) as second:
        # All Executors of a process share a task group: the other tests' tasks are in it, finished.
        again = [f for f in second.reload_tasks() if not f.done()]
        assert len(again) == 3
        hold["ep"].release()
        assert sorted(f.result(30) for f in again) == [0, 2, 4]
