"""Starts the service with a stand-in for sign-in (token "test-NAME") and its private RabbitMQ.

SALLYPORT_BUILD names the build folder; otherwise the newest of build-release and build is taken."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

import jsonschema
import pytest
import requests
import yaml

TOP = pathlib.Path(__file__).parents[2]


def find(path):
    folders = [pathlib.Path(os.environ["SALLYPORT_BUILD"])] if "SALLYPORT_BUILD" in os.environ else [
        TOP / "build-release", TOP / "build"]
    found = [f / path for f in folders if (f / path).exists()]
    return max(found, key=lambda p: p.stat().st_mtime, default=None)


STANDIN = find("src/service/test/service_standin")
TEMPLATE = {"endpoint_version": "4.19.0", "hostname": "login1", "local_user": "root",
            "endpoint_config": "display_name: x\n", "user_config_template": "engine: {{ x }}",
            "user_config_schema": {"type": "object"}}



def why_not():
    if not STANDIN:
        return "service_standin is not built"
    if not os.path.exists("/usr/lib/rabbitmq/bin/rabbitmq-server"):
        return "RabbitMQ is not installed"
    return None


class Description:
    """openapi.yaml: every reply has to fit it."""

    def __init__(self, text):
        self.document = yaml.safe_load(text)
        self.paths = [(re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(p)) + "$"), item)
                      for p, item in self.document["paths"].items()]

    def schema(self, node):
        """JSON Schema of an OpenAPI schema: references resolved, nullable made a type."""
        if isinstance(node, list):
            return [self.schema(n) for n in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            target = self.document
            for part in node["$ref"][2:].split("/"):
                target = target[part]
            return self.schema(target)
        node = {k: self.schema(v) for k, v in node.items()}
        if node.pop("nullable", False):
            node["type"] = [node["type"], "null"]
        return node

    def check(self, method, path, answer):
        item = next((i for p, i in self.paths if p.match(path.split("?")[0])), None)
        operation = item and item.get(method.lower())
        if not operation:
            assert answer.status_code in (404, 405, 400), (method, path, answer.status_code)
            return
        response = operation["responses"].get(str(answer.status_code)) or operation["responses"].get("default")
        assert response, (method, path, answer.status_code, answer.text)
        content = self.schema(response).get("content", {}).get("application/json")
        if content:
            jsonschema.validate(answer.json(), content["schema"])


class Service:
    def __init__(self, folder, *options, program=STANDIN):
        self.folder = pathlib.Path(folder)
        self.options = options
        self.program = program
        self.process = None
        self.port = 0
        self.start()

    def start(self):
        self.log = open(self.folder / "service.log", "a")
        self.process = subprocess.Popen(
            [self.program, "--data", self.folder / "data", "--port", str(self.port), "--debug", *self.options],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("ready "), (line, (self.folder / "service.log").read_text()[-2000:])
        self.url = line.split()[1].rstrip("/")
        self.port = int(self.url.rsplit(":", 1)[1])
        self.description = Description(requests.get(self.url + "/openapi.yaml", timeout=10).text)

    def stop(self, sig=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sig)
            code = self.process.wait(60)
            if sig == signal.SIGTERM:
                assert code == 0, code
        self.process.stdout.close()
        self.log.close()

    def restart(self, sig=signal.SIGTERM):
        self.stop(sig)
        self.start()

    def text_of_log(self):
        return (self.folder / "service.log").read_text()

    def http(self, user, method, path, **kwargs):
        headers = kwargs.pop("headers", {})
        if user:
            headers["Authorization"] = f"Bearer test-{user}"
        answer = requests.request(method, self.url + path, headers=headers, timeout=70, **kwargs)
        self.description.check(method, path, answer)
        return answer

    def get(self, path, user="alice", **kwargs):
        return self.http(user, "GET", path, **kwargs)

    def post(self, path, json=None, user="alice", **kwargs):
        return self.http(user, "POST", path, json=json, **kwargs)

    def register(self, user="alice", endpoint_id=None, **fields):
        body = {"endpoint_name": "e", "metadata": TEMPLATE, "public": False, "high_assurance": False,
                "multi_user": True, **fields}
        if endpoint_id:
            return self.http(user, "PUT", f"/v3/endpoints/{endpoint_id}", json=body)
        return self.post("/v3/endpoints", body, user=user)

    def function(self, user="alice", code="19\nst\nf:def f(): pass\n", **fields):
        body = {"function_name": "f", "function_code": code, "serialized": True, "meta": {}, **fields}
        answer = self.post("/v3/functions", body, user=user)
        assert answer.status_code == 200, answer.text
        return answer.json()["function_uuid"]

    def submit(self, endpoint, function, n=1, user="alice", payload="12\n00\ngAQpLg==\n12\n00\ngAR9lC4=\n", **fields):
        body = {"tasks": {function: [payload] * n}, "create_queue": False, **fields}
        return self.post(f"/v3/endpoints/{endpoint}/submit", body, user=user)


@contextlib.contextmanager
def service_with(settings):
    """One of its own, with that service.yaml."""
    if reason := why_not():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="sallyport-service-") as folder:
        data = pathlib.Path(folder) / "data"
        data.mkdir()
        pathlib.Path(folder).chmod(0o711)
        (data / "service.yaml").write_text(settings)
        service = Service(folder)
        try:
            yield service
        finally:
            service.stop()


def online(service, endpoint, user="alice"):
    return service.get(f"/v2/endpoints/{endpoint}/status", user=user).json().get("status") == "online"


def wait_until(predicate, timeout=20):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if predicate():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def sdk_client(service, user):
    import globus_sdk
    from globus_compute_sdk import Client
    os.environ["http_proxy"] = service.url
    os.environ["no_proxy"] = ""
    os.environ["GLOBUS_SDK_ENVIRONMENT"] = "local"
    os.environ["GLOBUS_SDK_SERVICE_URL_AUTH"] = service.url + "/"
    return Client(environment="local", authorizer=globus_sdk.AccessTokenAuthorizer(f"test-{user}"))
