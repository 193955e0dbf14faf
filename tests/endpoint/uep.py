"""The service's side of one user endpoint, played by pika with tasks made by the real SDK."""

from __future__ import annotations

import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid

import pika
from globus_compute_sdk.serialize import ComputeSerializer

from support.functions import as_users

LOCAL = """
engine:
  type: GlobusComputeEngine
  provider: {type: LocalProvider, init_blocks: 0, min_blocks: 0, max_blocks: 1}
  max_workers_per_node: 2
  cores_per_worker: 0.5
heartbeat_period: 5
"""
POOL = """
engine: {type: ProcessPoolEngine, max_workers: 2}
heartbeat_period: 5
"""


class Failed(Exception):
    """A result with error_details; str() is its data."""

    def __init__(self, result):
        super().__init__(result["data"])
        self.result = result


class Cloud:
    """Queues and credentials of one endpoint; publishes tasks, collects results and heartbeats."""

    def __init__(self, prefix: pathlib.Path, url: str, folder: pathlib.Path):
        self.prefix, self.url, self.folder = prefix, url, folder
        self.id = str(uuid.uuid4())
        self.serializer = ComputeSerializer()
        self.results: queue.Queue = queue.Queue()
        self.beats: queue.Queue = queue.Queue()
        self.by_id: dict[str, list] = {}
        self.ueps: list[Uep] = []
        self._closing = False
        self._own = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self._own.channel()
        self.names = {k: f"{k}-{self.id}" for k in ("results", "heartbeats")}
        for name in self.names.values():
            self.channel.exchange_declare(name, "topic", durable=True)
            self.channel.queue_declare(name, durable=True)
            self.channel.queue_bind(name, name, "#")
        self.tasks = f"{self.id}.tasks"
        self.channel.exchange_declare("tasks", "direct", durable=True)
        self.channel.queue_declare(self.tasks, durable=True)
        self.channel.queue_bind(self.tasks, "tasks", self.tasks)
        self._listen()

    def _listen(self):
        self._listener = threading.Thread(target=self._collect, daemon=True)
        self._listener.start()

    def _collect(self):
        while not self._closing:
            try:
                connection = pika.BlockingConnection(pika.URLParameters(self.url))
                channel = connection.channel()
                for kind, where in (("results", self.results), ("heartbeats", self.beats)):
                    channel.basic_consume(self.names[kind], self._taker(where), auto_ack=True)
                while not self._closing:
                    connection.process_data_events(0.1)
                connection.close()
            except (OSError, pika.exceptions.AMQPError):
                time.sleep(0.2)

    def _taker(self, where):
        def take(channel, method, properties, body):
            assert body[:1] == b"\x01"
            message = json.loads(body[1:])
            where.put((time.monotonic(), message["data"], properties))
        return take

    def reconnect(self):
        """After the broker was away."""
        end = time.monotonic() + 30
        while True:
            try:
                self._own = pika.BlockingConnection(pika.URLParameters(self.url))
                self.channel = self._own.channel()
                return
            except (OSError, pika.exceptions.AMQPError):
                assert time.monotonic() < end
                time.sleep(0.3)

    # ---- what the service hands out ----------------------------------------------------------

    def creds(self, url=None, **other_urls):
        url = url or self.url

        def publisher(kind, key):
            name = self.names[kind]
            return {"connection_url": other_urls.get(kind, url), "exchange": name, "queue": name,
                    "queue_publish_kwargs": {"exchange": name, "routing_key": f"{self.id}.{key}",
                                             "mandatory": True, "properties": {"delivery_mode": 2}}}
        return {
            "endpoint_id": self.id,
            "task_queue_info": {"connection_url": other_urls.get("tasks", url), "exchange": "tasks",
                                "queue": self.tasks},
            "result_queue_info": publisher("results", "results"),
            "heartbeat_queue_info": publisher("heartbeats", "heartbeats"),
        }

    def start(self, config=LOCAL, **more) -> Uep:
        uep = Uep(self, config, **more)
        self.ueps.append(uep)
        return uep

    # ---- tasks and results -------------------------------------------------------------------

    def body(self, function, *args, task_id=None, **kwargs):
        s = self.serializer
        buffer = s.pack_buffers([s.serialize(as_users(function)), s.serialize(args),
                                 s.serialize(kwargs)])
        return b"\x01" + json.dumps({"message_type": "task", "data": {
            "task_id": task_id, "container_id": None, "container": None,
            "task_buffer": buffer}}).encode()

    def publish(self, body, task_id=None, function_id=None, drop=(), **headers):
        task_id = task_id or str(uuid.uuid4())
        all_headers = {"task_uuid": task_id, "function_uuid": function_id or str(uuid.uuid4()),
                       "resource_specification": "null", **headers}
        for name in drop:
            del all_headers[name]
        self.channel.basic_publish("tasks", self.tasks, body, pika.BasicProperties(
            headers=all_headers, delivery_mode=2, content_type="application/json"))
        return task_id

    def submit(self, function, *args, headers=None, function_id=None, **kwargs):
        task_id = str(uuid.uuid4())
        return self.publish(self.body(function, *args, task_id=task_id, **kwargs), task_id,
                            function_id, **(headers or {}))

    def next_result(self, timeout=30):
        try:
            return self.results.get(timeout=timeout)[1]
        except queue.Empty:
            raise AssertionError(f"no result within {timeout} s\n" + self.logs()) from None

    def raw(self, task_id, timeout=30):
        """The (first) result of this task; others are kept."""
        end = time.monotonic() + timeout
        while task_id not in self.by_id:
            result = self.next_result(max(0.1, end - time.monotonic()))
            self.by_id.setdefault(result["task_id"], []).append(result)
        return self.by_id[task_id][0]

    def result(self, task_id, timeout=30):
        result = self.raw(task_id, timeout)
        if result["error_details"] is not None:
            raise Failed(result)
        return self.serializer.deserialize(result["data"])

    def drain(self, seconds=1.0):
        """Whatever still comes; then every result so far by task id."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                result = self.results.get(timeout=left)[1]
                self.by_id.setdefault(result["task_id"], []).append(result)
            except queue.Empty:
                break
        return self.by_id

    def beat(self, timeout=20):
        try:
            return self.beats.get(timeout=timeout)[1]["global_state"]
        except queue.Empty:
            raise AssertionError(f"no heartbeat within {timeout} s\n" + self.logs()) from None

    def ready(self):
        """Messages that wait in the task queue."""
        return self.channel.queue_declare(self.tasks, passive=True).method.message_count

    def logs(self):
        return "\n".join(u.log()[-6000:] for u in self.ueps)

    def close(self):
        self._closing = True
        for uep in self.ueps:
            uep.kill()
        self._listener.join(5)
        try:
            if self._own.is_closed:
                self.reconnect()
            for name in (*self.names.values(), self.tasks):
                self.channel.queue_delete(name)
            for name in self.names.values():
                self.channel.exchange_delete(name)
            self._own.close()
        except (OSError, AssertionError, pika.exceptions.AMQPError):
            pass


class Uep:
    """One life of the user endpoint; several may follow one another in the same directory."""

    def __init__(self, cloud: Cloud, config: str, document=None, name=None, env=None, pass_fds=(),
                 argv=(), python=None):
        self.cloud = cloud
        self.dir = cloud.folder / "compute" / (name or "uep")
        self.dir.mkdir(parents=True, exist_ok=True)
        self.document = {"ep_info": {"posix_ppid": os.getpid()}, "config": config,
                         "amqp_creds": cloud.creds(), **(document or {})}
        self.document = {k: v for k, v in self.document.items() if v is not ...}
        environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(cloud.folder), "LANG": "C.UTF-8",
            "GLOBUS_COMPUTE_USER_DIR": str(cloud.folder / "compute"),
            "GC_WORKER_PYTHON": python or sys.executable, **(env or {})}
        environment.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        self.began = time.monotonic()
        with open(cloud.folder / "stdout.log", "ab") as out:
            self.process = subprocess.Popen(
                [cloud.prefix / "libexec" / "sallyport" / "user-endpoint", *argv, name or "uep"],
                stdin=subprocess.PIPE, stdout=out, stderr=out, env=environment, pass_fds=pass_fds,
                start_new_session=True, cwd=cloud.folder)
        self.process.stdin.write(json.dumps(self.document).encode())
        self.process.stdin.close()

    def log(self):
        path = self.dir / "endpoint.log"
        return (path.read_text(errors="replace") if path.exists() else "(no log)") + \
            (self.cloud.folder / "stdout.log").read_text(errors="replace")

    def wait(self, timeout=30):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {timeout} s\n" + self.log()) from None

    def stop(self, sig=signal.SIGTERM, timeout=30):
        self.process.send_signal(sig)
        return self.wait(timeout)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def children(self):
        """Living processes that work in our folders (the endpoint itself aside)."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "cwd").startswith(str(self.cloud.folder)):
                    found.append(int(entry.name))
            except OSError:
                continue
        return [p for p in found if p != self.process.pid]
