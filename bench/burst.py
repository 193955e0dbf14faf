"""Many users' first tasks at the same moment, over plain REST.

As many copies of the SDK would measure themselves on two cores; the requests are the SDK's.
"""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import json
import sqlite3
import time
import urllib.error
import urllib.parse
import urllib.request

from direct import as_users, noop
from globus_compute_sdk.serialize import ComputeSerializer

SCOPE = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"


class User:
    def __init__(self, site, index: int):
        self.service = site.service
        self.url = site.service.url
        client_id, secret = site.clients[index]
        basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        body = urllib.parse.urlencode({"grant_type": "client_credentials", "scope": SCOPE}).encode()
        answer = self._send("POST", "/v2/oauth2/token", body, {
            "Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"})
        self.headers = {"Authorization": f"Bearer {answer['access_token']}",
                        "Content-Type": "application/json"}
        pack = ComputeSerializer()
        self.function = self.call("POST", "/v3/functions", {
            "function_name": "noop", "serialized": True, "meta": {},
            "function_code": pack.pack_buffers([pack.serialize(as_users(noop))])})["function_uuid"]
        self.payload = pack.pack_buffers([pack.serialize(()), pack.serialize({})])
        self.endpoint = site.endpoint_id

    def _send(self, method: str, path: str, body: bytes | None, headers: dict) -> dict:
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as e:
            raise AssertionError(f"{method} {path}: {e.code} {e.read().decode()[:1000]}") from None

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        return self._send(method, path, json.dumps(body).encode() if body else None, self.headers)

    def finished(self, pause: float) -> dict:
        """Submits one task; its document when the result is there."""
        answer = self.call("POST", f"/v3/endpoints/{self.endpoint}/submit", {
            "tasks": {self.function: [self.payload]}, "create_queue": False})
        task = answer["tasks"][self.function][0]
        end = time.monotonic() + 300
        while time.monotonic() < end:
            document = self.call("GET", f"/v2/tasks/{task}")
            if document["status"] == "success":
                return document
            if document["status"] == "failed":
                raise AssertionError(document["exception"])
            time.sleep(pause)
        raise AssertionError("no result within 300 s")

    def first_task(self, begin: float) -> float:
        """Seconds from `begin` until the result can be read."""
        self.finished(0.1)
        return time.monotonic() - begin

    def timed_task(self) -> float:
        """Seconds from the service's receipt of the task to its receipt of the result."""
        received, done = times_of(self.service, self.finished(0.05)["task_id"])
        return done - received


def times_of(service, task: str) -> tuple[float, float]:
    """When the service took the task and when it took the result, by its own clock.  Task documents
    don't say it: user endpoints write a "received" of their own over the service's."""
    with contextlib.closing(sqlite3.connect(service.folder / "data" / "ledger.db")) as ledger:
        created, done = ledger.execute("SELECT created_us, done_us FROM tasks WHERE id = ?", (task,)).fetchone()
    return created / 1e6, done / 1e6


def submit_at_once(site) -> list[float]:
    """For each user of the site: seconds from the common start to the own result."""
    users = [User(site, i) for i in range(len(site.clients))]
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(len(users)) as pool:
        return list(pool.map(lambda user: user.first_task(begin), users))
