"""A user endpoint without manager and service: the benchmark plays both, over a private broker.

The same document on standard input, the same queues and the same task bodies go to the original
(`globus-compute-endpoint _start-user-endpoint`) and to ours, so what differs is the endpoint.
"""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import time
import uuid

import pika
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from globus_compute_sdk.serialize import ComputeSerializer
from support.functions import as_users
from support.process import wait_for
from support.rabbit import RabbitNode

CONFIG = """\
engine:
  type: GlobusComputeEngine
  max_workers_per_node: {workers}
  cores_per_worker: 0.1
  address: 127.0.0.1
  encrypted: {encrypted}
  strategy: simple
  job_status_kwargs:
    max_idletime: {idle}
  provider:
    type: LocalProvider
    init_blocks: 0
    min_blocks: 0
    max_blocks: 1
heartbeat_period: 30
idle_heartbeats_soft: 0
"""


def noop(*a):
    return None


def task_buffer(function, *args) -> str:
    pack = ComputeSerializer()
    function = as_users(function)
    return pack.pack_buffers([pack.serialize(function), pack.serialize(args), pack.serialize({})])


class Queues:
    """What the service would declare for one endpoint, and a channel to it."""

    def __init__(self, broker: RabbitNode, endpoint_id: str):
        self.broker = broker
        self.id = endpoint_id
        self.connection = broker.connect()
        self.channel = self.connection.channel()
        self.results = f"results.{endpoint_id}"
        for name, kind in (("tasks", "direct"), ("results", "topic"), ("heartbeats", "topic")):
            self.channel.exchange_declare(name, kind, durable=True)
        for queue, exchange, key in ((f"{endpoint_id}.tasks", "tasks", f"{endpoint_id}.tasks"),
                                     (self.results, "results", f"{endpoint_id}.results"),
                                     (f"heartbeats.{endpoint_id}", "heartbeats",
                                      f"{endpoint_id}.heartbeats")):
            self.channel.queue_declare(queue, durable=True)
            self.channel.queue_bind(queue, exchange, key)

    def info(self) -> dict:
        def publisher(exchange: str, queue: str, word: str) -> dict:
            return {"connection_url": self.broker.url, "exchange": exchange, "queue": queue,
                    "queue_publish_kwargs": {"exchange": exchange, "mandatory": True,
                                             "routing_key": f"{self.id}.{word}",
                                             "properties": {"delivery_mode": 2}}}

        return {"endpoint_id": self.id,
                "task_queue_info": {"connection_url": self.broker.url, "exchange": "tasks",
                                    "queue": f"{self.id}.tasks"},
                "result_queue_info": publisher("results", self.results, "results"),
                "heartbeat_queue_info": publisher("heartbeats", f"heartbeats.{self.id}",
                                                  "heartbeats")}

    def send(self, buffer: str) -> str:
        task_id = uuid.uuid4()
        body = messagepack.pack(Task(task_id=task_id, task_buffer=buffer))
        self.channel.basic_publish(
            "tasks", f"{self.id}.tasks", body,
            pika.BasicProperties(delivery_mode=2, content_type="application/json", headers={
                "task_uuid": str(task_id), "function_uuid": str(uuid.UUID(int=1))}))
        return str(task_id)

    def next_result(self, seconds: float = 120) -> bytes:
        """Waits on the socket, not by polling, so that a millisecond can be seen."""
        for _, _, body in self.channel.consume(self.results, auto_ack=True,
                                               inactivity_timeout=seconds):
            if body is None:
                raise AssertionError(f"no result within {seconds} s")
            failure = json.loads(body[1:])["data"]["error_details"]
            assert failure is None, body
            return body
        raise AssertionError("the broker cancelled the consumer")

    def check_one(self) -> None:
        """Takes one waiting result: a task that failed is no measurement."""
        _, _, body = self.channel.basic_get(self.results, auto_ack=True)
        check(body)

    def stop_consuming(self) -> None:
        self.channel.cancel()

    def depth(self, queue: str) -> int:
        return self.channel.queue_declare(queue, passive=True).method.message_count

    def close(self) -> None:
        for queue in (f"{self.id}.tasks", self.results, f"heartbeats.{self.id}"):
            self.channel.queue_delete(queue)
        self.connection.close()


class Endpoint:
    """One user endpoint process of either kind."""

    def __init__(self, program: pathlib.Path, queues: Queues, folder: pathlib.Path, workers: int = 2,
                 encrypted: bool = True, idle: float = 120, python: pathlib.Path | None = None):
        self.queues = queues
        self.folder = folder / f"uep.{queues.id}"
        self.folder.mkdir(parents=True, mode=0o700)
        document = json.dumps({
            "ep_info": {"posix_ppid": os.getpid()}, "amqp_creds": queues.info(),
            "config": CONFIG.format(workers=workers, encrypted=str(encrypted).lower(), idle=idle)})
        path = str(program.parent)
        if python:
            path = f"{python.parent}:{path}"
        self.started = time.monotonic()
        with open(self.folder / "endpoint.log", "ab") as log:
            self.process = subprocess.Popen(
                [program, "-c", folder, "_start-user-endpoint", self.folder.name],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, cwd=folder,
                env={"HOME": str(folder), "PATH": f"{path}:/usr/bin:/bin", "LANG": "C.UTF-8",
                     "GLOBUS_COMPUTE_ENDPOINT_DIR": str(self.folder)})
        assert self.process.stdin
        self.process.stdin.write(document.encode())
        self.process.stdin.close()

    def family(self) -> list[int]:
        return sorted({*family(self.folder), *descendants(self.process.pid)})

    def stop(self) -> None:
        members = self.family()
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            pass
        for pid in members:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.process.wait(10)


def family(folder: pathlib.Path) -> list[int]:
    """Every living process whose environment names the folder: a block's processes leave their
    parents behind, but not this variable (a process title may overwrite it)."""
    mark = f"GLOBUS_COMPUTE_ENDPOINT_DIR={folder}\0".encode()
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "environ").read_bytes() + b"\0":
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found


def descendants(root: int) -> list[int]:
    """The process and all below it."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.name)] = int(text.rsplit(")", 1)[1].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def pss_kib(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        try:
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return total


def cpu_seconds(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        try:
            words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += sum(int(w) for w in words[11:15])  # with its waited-for children
    return ticks / os.sysconf("SC_CLK_TCK")


def spread(values: list[float]) -> dict:
    values = sorted(values)
    return {"median": statistics.median(values), "low": values[0], "high": values[-1],
            "p95": values[min(len(values) - 1, int(len(values) * 0.95))], "n": len(values)}


def round_trips(queues: Queues, buffer: str, count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        begin = time.monotonic()
        queues.send(buffer)
        result = queues.next_result()
        seconds.append(time.monotonic() - begin)
        check(result)
    return seconds


def check(result: bytes) -> None:
    unpacked = messagepack.unpack(result)
    assert not unpacked.error_details, unpacked.data


def drain(queues: Queues, count: int, seconds: float = 300) -> float:
    """From now until `count` results are confirmed in the result queue."""
    begin = time.monotonic()
    wait_for(f"{count} results", lambda: queues.depth(queues.results) >= count, seconds, 0.01)
    return time.monotonic() - begin
