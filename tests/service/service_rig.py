"""Starts the service with a stand-in for sign-in (token "test-NAME") and its private RabbitMQ.

SALLYPORT_BUILD names the build folder; otherwise the newest of build-release and build is taken."""

import os
import pathlib
import signal
import subprocess
import time

import pytest
import requests

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
        return requests.request(method, self.url + path, headers=headers, timeout=70, **kwargs)

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
