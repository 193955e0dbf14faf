"""The unmodified SDK against the service, with a site made of Python."""

import subprocess
import sys
import textwrap

import pytest
from service_rig import wait_until
from globus_compute_sdk import Executor
from globus_compute_sdk.errors import TaskExecutionFailed
from globus_compute_sdk.serialize import JSONData
from site_ import serde


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


def test_reload_tasks_in_a_new_process(service, site, client):
    hold = {}
    manager = site(on_start=lambda m, c: hold.update(ep=m.start_endpoint(c, hold=True)))
    sdk = client()
    function = sdk.register_function(double)
    answer = service.submit(manager.id, function, n=3, create_queue=True, payload=serde.pack_buffers(
        [serde.serialize((4,)), serde.serialize({})])).json()
    wait_until(lambda: "ep" in hold and len(hold["ep"].tasks) == 3)
    script = textwrap.dedent("""
        import sys
        import globus_sdk
        from globus_compute_sdk import Client, Executor
        client = Client(environment="local", authorizer=globus_sdk.AccessTokenAuthorizer("test-alice"))
        with Executor(endpoint_id=sys.argv[1], client=client, task_group_id=sys.argv[2]) as executor:
            futures = list(executor.reload_tasks())
            print("pending", sum(not f.done() for f in futures), flush=True)
            print("results", [f.result(30) for f in futures], flush=True)
    """)
    child = subprocess.Popen([sys.executable, "-c", script, manager.id, answer["task_group_id"]],
                             stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "pending 3\n"
    hold["ep"].release()
    assert child.stdout.readline() == "results [8, 8, 8]\n"
    assert child.wait(30) == 0
    child.stdout.close()


def large(n):
    return "x" * n


def test_large_results_go_through_files(service, site, client):
    manager = site()
    with Executor(endpoint_id=manager.id, client=client()) as executor:
        future = executor.submit(large, 3 << 20)
        assert len(future.result(60)) == 3 << 20
    document = service.get(f"/v2/tasks/{future.task_id}").json()
    assert len(serde.deserialize(document["result"])) == 3 << 20
    assert any((service.folder / "data" / "payloads").rglob("*"))
