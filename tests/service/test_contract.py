"""Every route, its fields, codes and refusals (the rows W1... of the wire specification)."""

import json
import socket
import threading
import time
import uuid

import pytest
import requests
from service_rig import online, wait_until

PAYLOAD = "12\n00\ngAQpLg==\n12\n00\ngAR9lC4=\n"


def refused(answer, status, code=None):
    assert answer.status_code == status, (answer.status_code, answer.text)
    body = answer.json()
    assert isinstance(body["code"], str) and body["message"], body
    uuid.UUID(body["request_id"])
    assert answer.headers["Content-Type"] == "application/json"
    if code:
        assert body["code"] == code
    return body["message"]


def test_version_needs_no_token(service):  # W1, W2
    body = service.get("/v2/version?service=all", user=None).json()
    assert {"api", "min_sdk_version", "min_ep_version", "min_endpoint_version", "git_sha"} <= set(body)
    assert isinstance(service.get("/v2/version", user=None).json(), str)
    bad = service.get("/v2/version?service=all", user=None, headers={"Authorization": "Bearer nonsense"})
    assert bad.status_code == 200


@pytest.mark.parametrize("method,path", [
    ("POST", "/v3/functions"), ("GET", "/v2/functions/{u}"), ("DELETE", "/v2/functions/{u}"),
    ("POST", "/v3/endpoints"), ("PUT", "/v3/endpoints/{u}"), ("POST", "/v3/endpoints/{u}/lock"),
    ("GET", "/v2/endpoints"), ("GET", "/v2/endpoints/{u}"), ("GET", "/v2/endpoints/{u}/status"),
    ("DELETE", "/v2/endpoints/{u}"), ("GET", "/v3/endpoints/{u}/allowed_functions"),
    ("POST", "/v3/endpoints/{u}/submit"), ("POST", "/v2/submit"), ("GET", "/v2/tasks/{u}"),
    ("POST", "/v2/batch_status"), ("GET", "/v2/taskgroup/{u}"),
    ("GET", "/v2/get_amqp_result_connection_url")])
def test_every_other_route_needs_one(service, method, path):  # W4
    path = path.format(u=uuid.uuid4())
    refused(service.http(None, method, path), 401)
    refused(requests.request(method, service.url + path, headers={"Authorization": "Bearer nonsense"}), 401)


def test_unknown_routes(service):  # W6
    refused(service.get("/v9/nothing"), 404, "NOT_FOUND")
    refused(service.http("alice", "PATCH", "/v2/endpoints"), 405)


@pytest.mark.parametrize("path", ["/v3/functions", "/v3/endpoints", "/v3/endpoints/{u}/submit", "/v2/batch_status",
                                  "/v2/submit"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{\"a\":" * 2000, b"{}",
                                  b'{"tasks":[]}', b'{"tasks":{"x":[]}}', b'{"task_ids":[1]}', b'{"task_ids":{}}',
                                  b'{"function_name":1,"function_code":2}',
                                  b'{"endpoint_name":"x","metadata":[]}',
                                  b'{"tasks":{"7f0c3d2e-1111-4222-8333-444455556666":{}}}',
                                  b'{"tasks":{"7f0c3d2e-1111-4222-8333-444455556666":[1]}}',
                                  b'{"tasks":{"7f0c3d2e-1111-4222-8333-444455556666":["no buffer"]}}',
                                  b'{"tasks":{},"task_group_id":7}', b'{"tasks":{},"user_endpoint_config":[1]}',
                                  b'{"tasks":{},"resource_specification":"x"}'])
def test_bad_bodies(service, path, body):  # W7
    answer = service.http("alice", "POST", path.format(u=uuid.uuid4()), data=body)
    assert 400 <= answer.status_code < 500, answer.text
    refused(answer, answer.status_code)


@pytest.mark.parametrize("path", ["/v2/functions/x", "/v2/tasks/x", "/v2/taskgroup/x", "/v2/endpoints/x",
                                  "/v2/endpoints/x/status", "/v3/endpoints/x/allowed_functions"])
def test_bad_ids(service, path):
    refused(service.get(path), 400, "INVALID_UUID")


def test_functions(service):  # W10, W12, W13
    function = service.function(description="doc", meta={"python_version": "3.11"})
    body = service.get(f"/v2/functions/{function}").json()
    assert body["function_uuid"] == function and body["function_name"] == "f"
    assert body["function_code"] == "19\nst\nf:def f(): pass\n" and body["description"] == "doc"
    assert body["metadata"] == {"python_version": "3.11"}
    refused(service.get(f"/v2/functions/{function}", user="bob"), 403, "FUNCTION_ACCESS_FORBIDDEN")
    refused(service.http("bob", "DELETE", f"/v2/functions/{function}"), 403)
    refused(service.get(f"/v2/functions/{uuid.uuid4()}"), 404, "FUNCTION_NOT_FOUND")
    public = service.function(public=True)
    assert service.get(f"/v2/functions/{public}", user="bob").status_code == 200
    assert service.http("alice", "DELETE", f"/v2/functions/{function}").json() == {"result": 302}
    refused(service.get(f"/v2/functions/{function}"), 404)
    refused(service.post("/v3/functions", {"function_name": "f", "function_code": "x" * (6 << 20), "serialized": False,
                                           "meta": {}}), 413)


def test_registration(service):  # W14-W17, W19, W21, W22
    body = service.register(display_name="Big").json()
    endpoint = body["endpoint_id"]
    assert body["command_queue_info"]["queue"] == f"{endpoint}.commands"
    assert body["heartbeat_queue_info"]["queue_publish_kwargs"]["routing_key"] == f"{endpoint}.heartbeats"
    assert body["warnings"] == []
    again = service.register(endpoint_id=endpoint).json()
    assert again["command_queue_info"] == body["command_queue_info"]  # the running one is not cut off
    fresh = str(uuid.uuid4())
    assert service.register(endpoint_id=fresh).json()["endpoint_id"] == fresh
    refused(service.register(user="bob", endpoint_id=fresh), 403, "ENDPOINT_ALREADY_REGISTERED")
    shown = service.get(f"/v2/endpoints/{endpoint}").json()
    assert shown["user_config_template"] == "engine: {{ x }}" and shown["user_config_schema"] == {"type": "object"}
    assert shown["endpoint_config"] and shown["multi_user"] is True
    others = service.get(f"/v2/endpoints/{endpoint}", user="bob").json()
    assert others["user_config_template"] and "endpoint_config" not in others and "local_user" not in others
    mine = [e["uuid"] for e in service.get("/v2/endpoints").json()]
    assert endpoint in mine and fresh in mine
    assert endpoint not in [e["uuid"] for e in service.get("/v2/endpoints?role=any", user="bob").json()]
    service.register(endpoint_id=endpoint, public=True)
    assert endpoint in [e["uuid"] for e in service.get("/v2/endpoints?role=any", user="bob").json()]
    refused(service.register(high_assurance=True), 422)
    refused(service.register(endpoint_id="nonsense"), 400)


def test_lock_and_delete(service, site):  # W18, W23, W51
    manager = site()
    refused(service.post(f"/v3/endpoints/{manager.id}/lock", user="bob"), 403)
    body = service.post(f"/v3/endpoints/{manager.id}/lock").json()
    assert body["endpoint_id"] == manager.id and body["lock_expiration_timestamp"]
    refused(service.register(endpoint_id=manager.id), 423, "RESOURCE_LOCKED")
    wait_until(lambda: not manager.is_alive())  # M28: its connection ends
    other = service.register().json()["endpoint_id"]
    assert service.http("alice", "DELETE", f"/v2/endpoints/{other}").json() == {"result": 302}
    refused(service.get(f"/v2/endpoints/{other}"), 404)
    refused(service.register(endpoint_id=other), 404)


def test_allowed_functions(service, site):  # W20, W21
    good, bad = service.function(), service.function()
    manager = site(allowed_functions=[good])
    body = service.get(f"/v3/endpoints/{manager.id}/allowed_functions").json()
    assert body == {"endpoint_id": manager.id, "restricted": True, "functions": [good]}
    message = refused(service.submit(manager.id, bad), 403, "FUNCTION_NOT_PERMITTED")
    assert message == f"Function {bad} not permitted on endpoint {manager.id}"
    assert not manager.commands
    assert service.submit(manager.id, good).status_code == 200
    service.register(endpoint_id=manager.id)
    assert service.get(f"/v3/endpoints/{manager.id}/allowed_functions").json()["restricted"] is False
    refused(service.register(allowed_functions=[str(uuid.uuid4())]), 404)


def test_submit_answers_in_order(service, site):  # W36, W37, W38, W40
    manager = site()
    one, two = service.function(), service.function()
    body = {"tasks": {one: [PAYLOAD] * 3, two.upper(): [PAYLOAD]}, "create_queue": False,
            "resource_specification": {"n": 1}, "result_serializers": ["a.B", "c.D"], "user_runtime": {}}
    answer = service.post(f"/v3/endpoints/{manager.id}/submit", body).json()
    assert {k: len(v) for k, v in answer["tasks"].items()} == {one: 3, two.upper(): 1}
    for key in ("request_id", "task_group_id", "endpoint_id"):
        uuid.UUID(answer[key])
    endpoint = next(iter(manager.endpoints.values()))
    wait_until(lambda: len(endpoint.tasks) == 4)
    assert [d["task_id"] for _, d in endpoint.tasks] == answer["tasks"][one] + answer["tasks"][two.upper()]
    headers = endpoint.tasks[0][0].headers
    assert json.loads(headers["resource_specification"]) == {"n": 1}
    assert headers["result_serializers"] == ["a.B", "c.D"]
    empty = service.post(f"/v3/endpoints/{manager.id}/submit", {"tasks": {}, "create_queue": False})
    assert empty.status_code == 200 and empty.json()["tasks"] == {}


def test_user_endpoint_ids(service, site):  # W24-W28
    manager = site()
    function = service.function()

    def uep(user="alice", config=None):
        fields = {} if config is None else {"user_endpoint_config": config}
        before = len(manager.commands)
        assert service.submit(manager.id, service.function(user), user=user, **fields).status_code == 200
        return manager.commands[before][1]["kwargs"]["amqp_creds"]["endpoint_id"] if len(manager.commands) > before else None

    first = uep(config={"a": 1, "b": {"c": 2, "d": 3}})
    assert uep(config={"b": {"d": 3, "c": 2}, "a": 1}) in (None, first)
    assert len(manager.endpoints) == 1
    assert uep(config={"a": 2}) != first
    assert uep() != first
    assert uep(user="bob", config={"a": 1, "b": {"c": 2, "d": 3}}) not in (None, first)
    wait_until(lambda: len(manager.endpoints) == 4)
    assert manager.commands[0][1]["kwargs"]["name"] == f"uep.{manager.id}.{first}"
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(service.submit(
        manager.id, function, user_endpoint_config={"parallel": 1}).status_code)) for _ in range(5)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert answers == [200] * 5
    wait_until(lambda: len(manager.endpoints) == 5)


def test_start_failures_and_timeouts(service, site):  # W29, W30, W32, W35, W47
    manager = site(on_start=lambda m, c: m.refuse(c, "config is wrong: [line 3]"))
    function = service.function()
    message = refused(service.submit(manager.id, function), 422, "SEMANTICALLY_INVALID")
    assert message == "Request payload failed validation: config is wrong: [line 3]"
    assert online(service, manager.id)  # whatever the second, spurious report said
    assert service.get("/metrics", user=None).status_code == 200
    silent = site(on_start=lambda m, c: None)
    begun = time.monotonic()
    done = []
    thread = threading.Thread(target=lambda: done.append(service.submit(silent.id, function)))
    thread.start()
    time.sleep(1)
    assert service.get("/v2/endpoints").status_code == 200  # nobody else waits
    thread.join()
    refused(done[0], 422, "ENDPOINT_START_TIMEOUT")
    assert time.monotonic() - begun < 55


def test_offline_endpoints(service, site):  # W31, issue: tasks wait
    function = service.function()
    manager = site()
    manager.leave()
    wait_until(lambda: not online(service, manager.id))
    answer = service.submit(manager.id, function)
    assert answer.status_code == 200
    task = answer.json()["tasks"][function][0]
    assert service.get(f"/v2/tasks/{task}").json() == {"task_id": task, "status": "waiting-for-ep"}
    from site_ import Manager
    back = Manager(service.register(endpoint_id=manager.id).json())
    wait_until(lambda: service.get(f"/v2/tasks/{task}").json()["status"] in ("success", "failed"))
    back.leave()


def test_access_to_endpoints(service, site):
    function = service.function("bob")
    alone = site(multi_user=False)
    refused(service.submit(alone.id, function, user="bob"), 403, "ENDPOINT_ACCESS_FORBIDDEN")
    refused(service.submit(str(uuid.uuid4()), function, user="bob"), 404, "ENDPOINT_NOT_FOUND")
    refused(service.submit(alone.id, service.function("bob")), 403, "FUNCTION_ACCESS_FORBIDDEN")
    refused(service.submit(alone.id, str(uuid.uuid4())), 404, "FUNCTION_NOT_FOUND")


def test_tasks_and_groups_are_private(service, site):  # W39, W52
    manager = site()
    function = service.function()
    answer = service.submit(manager.id, function).json()
    task, group = answer["tasks"][function][0], answer["task_group_id"]
    refused(service.get(f"/v2/tasks/{task}", user="bob"), 403)
    assert service.post("/v2/batch_status", {"task_ids": [task]}, user="bob").json()["results"] == {}
    refused(service.get(f"/v2/taskgroup/{group}", user="bob"), 403)
    refused(service.submit(manager.id, service.function("bob"), user="bob", task_group_id=group), 403,
            "TASK_GROUP_ACCESS_FORBIDDEN")
    refused(service.submit(manager.id, function, task_group_id=str(uuid.uuid4())), 404, "TASK_GROUP_NOT_FOUND")
    refused(service.get(f"/v2/tasks/{uuid.uuid4()}"), 404, "TASK_NOT_FOUND")
    listed = service.get(f"/v2/taskgroup/{group}").json()
    assert listed["taskgroup_id"] == group and [t["id"] for t in listed["tasks"]] == [task]
    endpoint = next(iter(manager.endpoints))
    assert service.get(f"/v2/endpoints/{endpoint}/status").json()["status"] == "online"
    refused(service.get(f"/v2/endpoints/{endpoint}/status", user="bob"), 403)


def test_task_documents(service, site):  # W41-W44
    hold = {}
    manager = site(on_start=lambda m, c: hold.update(ep=m.start_endpoint(c, hold=True)))
    good = service.function(code="19\nst\nf:def f(): pass\n", serialized=True)
    bad = service.function(code="18\nst\nf:def f(): 1/0\n", serialized=True)
    one = service.submit(manager.id, good).json()["tasks"][good][0]
    two = service.submit(manager.id, bad).json()["tasks"][bad][0]
    wait_until(lambda: "ep" in hold and len(hold["ep"].tasks) == 2)
    wait_until(lambda: service.get(f"/v2/tasks/{one}").json()["status"] == "waiting-for-nodes")
    assert set(service.get(f"/v2/tasks/{one}").json()) == {"task_id", "status"}
    hold["ep"].release()
    wait_until(lambda: service.get(f"/v2/tasks/{two}").json()["status"] == "failed")
    unknown = str(uuid.uuid4())
    results = service.post("/v2/batch_status", {"task_ids": [unknown, two, one]}).json()
    assert results["response"] == "batch" and set(results["results"]) == {one, two}
    done, failed = results["results"][one], results["results"][two]
    assert done["status"] == "success" and done["result"].startswith("00\n") and "exception" not in done
    assert float(done["completion_t"]) > 1e9 and done["details"]["endpoint_id"] == hold["ep"].id
    assert done["details"]["task_transitions"]["execution-start"] > 1e9
    assert "ZeroDivisionError" in failed["exception"] and "result" not in failed and failed["completion_t"]


def test_sizes(service, site):  # W46
    manager = site()
    function = service.function()
    assert service.submit(manager.id, function, n=128).status_code == 200
    rest = "\n12\n00\ngAR9lC4=\n"
    large = f"{9 << 20}\n00\n" + "x" * ((9 << 20) - 3) + rest
    answer = service.submit(manager.id, function, payload=large)
    assert answer.status_code == 200
    refused(service.submit(manager.id, function, payload="1\n" + "x" * (11 << 20)), 413, "TASK_PAYLOAD_TOO_LARGE")
    refused(service.submit(manager.id, function, payload="1\n" + "x" * (30 << 20)), 413)
    endpoint = next(iter(manager.endpoints.values()))
    wait_until(lambda: any(len(d["task_buffer"]) > 9 << 20 for _, d in endpoint.tasks))
    config = service.submit(manager.id, function, user_endpoint_config={"x": "y" * 60000})
    refused(config, 422)


def test_idle_endpoint_is_started_again(service, site):  # W33, W34
    manager = site()
    function = service.function()
    service.submit(manager.id, function)
    first = next(iter(manager.endpoints.values()))
    first.leave()
    wait_until(lambda: not online(service, first.id))
    task = service.submit(manager.id, function).json()["tasks"][function][0]
    wait_until(lambda: service.get(f"/v2/tasks/{task}").json()["status"] == "success")
    second = manager.endpoints[first.id]
    assert second is not first
    # One that dies without a word with a task in its hands: it is started again, the task runs.
    second.hold = True
    time.sleep(0.2)
    task = service.submit(manager.id, function).json()["tasks"][function][0]
    wait_until(lambda: any(d["task_id"] == task for _, d in second.tasks))
    second.leave()
    wait_until(lambda: service.get(f"/v2/tasks/{task}").json()["status"] == "success")


def test_v2_submit(service, site):
    manager = site()
    function = service.function()
    body = {"task_group_id": None, "create_websocket_queue": False,
            "tasks": [[function, manager.id, PAYLOAD], [function, manager.id, PAYLOAD]]}
    answer = service.post("/v2/submit", body).json()
    assert answer["response"] == "success" and answer["task_group_id"]
    assert [r["status"] for r in answer["results"]] == ["success"] * 2
    for r in answer["results"]:
        wait_until(lambda: service.get(f"/v2/tasks/{r['task_uuid']}").json()["status"] == "success")


def test_result_address(service):
    one = service.get("/v2/get_amqp_result_connection_url").json()
    two = service.get("/v2/get_amqp_result_connection_url").json()
    assert one == two and one["queue_prefix"].startswith("usr.") and one["queue_prefix"].endswith(".")
    assert one["connection_url"].startswith("amqp://")
    assert service.get("/v2/get_amqp_result_connection_url", user="bob").json() != one


def test_targets_and_heads(service):  # W50
    host, port = service.url[7:].split(":")

    def raw(text):
        with socket.create_connection((host, int(port))) as s:
            s.sendall(text.encode())
            s.settimeout(5)
            return s.recv(65536).decode()

    assert "200 OK" in raw("GET http://compute.api.globus.org/v2/version HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "200 OK" in raw("HEAD /v2/version HTTP/1.1\r\nHost: x\r\n\r\n")
    assert " 404 " in raw("GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n")
    assert " 400 " in raw("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert " 400 " in raw("GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n")


def test_junk_and_slow_clients_disturb_nobody(service):
    host, port = service.url[7:].split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(50)]
    for s in slow:
        s.sendall(b"POST /v3/functions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
    for i in range(2000):
        if i % 100 == 0:
            junk = socket.create_connection((host, int(port)))
        try:
            junk.sendall(bytes((i * 7 + j) % 256 for j in range(64)) + b"\r\n\r\n")
        except OSError:
            junk = socket.create_connection((host, int(port)))
    assert service.get("/v2/version", user=None).status_code == 200
    for s in slow:
        s.close()


def test_operations(service):
    assert service.get("/healthz", user=None).text == "ok\n"
    assert service.get("/readyz", user=None).json() == {"ledger": True, "broker": True}
    text = service.get("/metrics", user=None).text
    assert "sallyport_tasks_accepted_total" in text and 'sallyport_request_seconds_bucket{le="+Inf"}' in text
