"""Where the time of a task goes: waiting no-op tasks are drained, and each process's CPU time counted.

    bench/run's environment; python bench/drain.py [--tasks N] [--rounds N] [--size BYTES]

The tasks wait in the broker before the endpoint, warm and stopped meanwhile, sees the first of them:
what is measured is the way from the task queue to confirmed results, without a publisher beside it.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import uuid

import pika
from direct import Endpoint, Queues, drain, noop, round_trips, spread, task_buffer
from globus_compute_common import messagepack
from globus_compute_common.messagepack.message_types import Task
from support.rabbit import RabbitNode


def cpu_ns(pid: int) -> int:
    """On any core, over all threads; what has ended since is missing."""
    total = 0
    try:
        for entry in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((entry / "schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return total


def kind_of(pid: int) -> str:
    try:
        program = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return "gone"
    name = program.rsplit("/", 1)[-1]
    return "worker" if name.startswith("python") else name


def broker_pid(broker: RabbitNode) -> int:
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"beam" in words.split(b"\0")[0] and str(broker.folder).encode() in words:
                return int(entry.name)
    raise AssertionError("the broker's process is not found")


def fill(queues: Queues, buffer: str, count: int) -> None:
    """Publishes in few packets: the tasks differ only in their ids."""
    for _ in range(count):
        task_id = uuid.uuid4()
        queues.channel.basic_publish(
            "tasks", f"{queues.id}.tasks", messagepack.pack(Task(task_id=task_id, task_buffer=buffer)),
            pika.BasicProperties(delivery_mode=2, content_type="application/json", headers={
                "task_uuid": str(task_id), "function_uuid": str(uuid.UUID(int=1))}))


def one_round(endpoint: Endpoint, queues: Queues, broker: int, buffer: str, count: int) -> dict:
    """{"per_second", kind of process: CPU microseconds a task}."""
    os.kill(endpoint.process.pid, signal.SIGSTOP)
    try:
        fill(queues, buffer, count)
        members = {broker: "broker", **{pid: kind_of(pid) for pid in endpoint.family()}}
        before = {pid: cpu_ns(pid) for pid in members}
    finally:
        os.kill(endpoint.process.pid, signal.SIGCONT)
    took = drain(queues, count)
    row: dict = {"per_second": count / took}
    for pid, kind in members.items():
        row[kind] = row.get(kind, 0) + (cpu_ns(pid) - before[pid]) / 1000 / count
    queues.channel.queue_purge(queues.results)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--size", type=int, default=0, help="bytes of argument")
    parser.add_argument("--latency", type=int, default=0, metavar="N", help="N round trips first")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-drain-", dir="/var/tmp"))
    program = pathlib.Path(os.environ["SALLYPORT_PREFIX"]) / "bin" / "globus-compute-endpoint"
    buffer = task_buffer(noop, "x" * options.size)
    try:
        with RabbitNode(folder / "rabbit") as broker:
            queues = Queues(broker, str(uuid.uuid4()))
            endpoint = Endpoint(program, queues, folder / "endpoints", options.workers,
                                python=pathlib.Path(sys.executable))
            try:
                round_trips(queues, buffer, 5)
                if options.latency:
                    ms = [1000 * s for s in round_trips(queues, buffer, options.latency)]
                    print("round trip, ms:", {k: round(v, 2) for k, v in spread(ms).items()})
                queues.stop_consuming()
                for _ in range(options.rounds):
                    begin = time.monotonic()
                    row = one_round(endpoint, queues, broker_pid(broker), buffer, options.tasks)
                    print(f"{time.monotonic() - begin:6.1f} s ", "  ".join(
                        f"{k}={v:.0f}{'' if k == 'per_second' else ' µs'}" for k, v in row.items()),
                        flush=True)
            finally:
                endpoint.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
