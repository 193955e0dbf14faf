"""What a site may set: how much one person may ask, and how old clients may be."""

import re

import pytest
from globus_compute_sdk.errors import VersionMismatch
from service_rig import sdk_client, service_with


def test_the_sdk_waits_and_succeeds():
    """W49: 429 with Retry-After; each person has a bucket of their own."""
    with service_with("limits: {requests_per_second: 1, requests_burst: 3}\n") as service:
        sdk = sdk_client(service, "alice")
        functions = [sdk.register_function(len) for _ in range(6)]
        assert len(set(functions)) == 6
        said = re.findall(r"POST /v3/functions status=(\d+)", service.text_of_log())
        assert "429" in said, said
        for _ in range(5):
            answer = service.get("/v2/endpoints")
        assert answer.status_code == 429 and answer.json()["code"] == "RATE_LIMIT_EXCEEDED"
        assert int(answer.headers["Retry-After"]) >= 1
        assert service.get("/v2/endpoints", user="bob").status_code == 200


def test_too_many_tasks():
    """A bucket of tasks; what is refused leaves nothing behind, and the pause is told in whole seconds."""
    with service_with("limits: {tasks_per_second: 2, tasks_burst: 10}\n") as service:
        function = service.function()
        endpoint = service.register(multi_user=True, metadata={"endpoint_version": "4.19.0"}).json()["endpoint_id"]
        assert service.submit(endpoint, function, n=10).status_code == 200
        answer = service.submit(endpoint, function, n=9)
        assert answer.status_code == 429 and "tasks" in answer.json()["message"]
        assert 2 <= int(answer.headers["Retry-After"]) <= 5
        assert service.submit(endpoint, service.function("bob"), n=9, user="bob").status_code in (200, 403)
        accepted = re.search(r"^sallyport_tasks_accepted_total (\d+)", service.get("/metrics", user=None).text, re.M)
        assert int(accepted[1]) in (10, 19)


def test_old_clients():
    """W3, and the same for endpoints."""
    with service_with("clients: {min_sdk: 99.0.0, min_endpoint: 4.20.0}\n") as service:
        with pytest.raises(VersionMismatch, match="99.0.0"):
            sdk_client(service, "alice")
        place = {"endpoint_version": "4.19.0", "user_config_template": "x: {{ y }}"}
        answer = service.register(metadata=place)
        assert answer.status_code == 400 and answer.json()["code"] == "ENDPOINT_OUTDATED"
        assert answer.json()["message"] == ("This service needs release 4.20.0 or later of the endpoint; "
                                            "this one is 4.19.0")
        for version in ("4.20.0", "4.20.1a1", "5.0", "10.0.0", "unknown"):
            assert service.register(metadata={**place, "endpoint_version": version}).status_code == 200, version
