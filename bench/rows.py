"""The rows of the table that need a user endpoint alone, or nothing but the installed programs.

A row measures a few things at once on one kind of endpoint; each is a column, and the first is the
headline.  A row's function takes (bench, kind) and returns {column: number or spread}, the same for
both kinds; what one kind can't tell is left out.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from direct import check, cpu_seconds, drain, noop, pss_kib, spread, task_buffer


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    unit: str  # "s", "ms", "MiB", "tasks/s", or "" for a number of things


@dataclass(frozen=True)
class Row:
    name: str
    columns: tuple[Column, ...]
    measure: Callable
    quick: bool = True
    kinds: tuple[str, ...] = ("original", "ours")


ROWS: list[Row] = []


def row(*columns: tuple[str, str, str], **more):
    def register(function: Callable) -> Callable:
        ROWS.append(Row(function.__name__, tuple(Column(*column) for column in columns), function, **more))
        return function

    return register


# ---- the command line ----------------------------------------------------------------------------


@row(("seconds", "`globus-compute-endpoint version`", "s"),
     ("cpu_ms", "CPU", "ms"))
def version(bench, kind) -> dict:
    seconds = []
    before = bench.own_cpu_seconds()
    count = bench.repeat(20 if kind.is_ours else 6)
    for _ in range(count):
        begin = time.monotonic()
        subprocess.run([kind.program, "version"], check=True, capture_output=True,
                       env={"HOME": str(bench.folder), "PATH": "/usr/bin:/bin"})
        seconds.append(time.monotonic() - begin)
    return {"seconds": spread(seconds), "cpu_ms": (bench.own_cpu_seconds() - before) * 1000 / count}


@row(("mib", "installed size", "MiB"),
     ("packages", "packages beside the operating system's", ""))
def size(bench, kind) -> dict:
    size, packages = kind.installed()
    return {"mib": size / (1 << 20), "packages": packages}


# ---- one user endpoint, directly -----------------------------------------------------------------


@row(("seconds", "user endpoint started → first result of a waiting task", "s"),
     ("cpu_ms", "CPU", "ms"))
def cold(bench, kind) -> dict:
    seconds, cpu = [], []
    for _ in range(bench.repeat(20 if kind.is_ours else 4)):
        with bench.queues() as queues:
            queues.send(task_buffer(noop))
            endpoint = bench.endpoint(kind, queues)
            try:
                result = queues.next_result()
                seconds.append(time.monotonic() - endpoint.started)
                check(result)
                cpu.append(cpu_seconds(endpoint.family()) * 1000)
                queues.stop_consuming()
            finally:
                endpoint.stop()
    return {"seconds": spread(seconds), "cpu_ms": spread(cpu)}


@row(("seconds", "warm task, published → its result published", "s"),
     ("cpu_ms", "CPU", "ms"))
def warm(bench, kind) -> dict:
    return bench.warm(kind, task_buffer(noop), bench.repeat(1000 if kind.is_ours else 30))


@row(("seconds", "the same with 100 kB of arguments", "s"),
     ("cpu_ms", "CPU", "ms"))
def warm_100k(bench, kind) -> dict:
    return bench.warm(kind, argument(100_000), bench.repeat(200 if kind.is_ours else 20))


@row(("seconds", "the same with 5 MB of arguments", "s"),
     ("cpu_ms", "CPU", "ms"))
def warm_5m(bench, kind) -> dict:
    return bench.warm(kind, argument(5_000_000), bench.repeat(20 if kind.is_ours else 10))


def argument(length: int) -> str:
    return task_buffer(noop, "x" * length)


@row(("seconds", "user endpoint started with 5 000 tasks waiting → last result", "s"),
     ("cpu_ms", "CPU a task", "ms"),
     ("per_second", "tasks a second once it works", ""))
def waiting(bench, kind) -> dict:
    count = 5000
    seconds, cpu, rate = [], [], []
    for _ in range(bench.repeat(3) if kind.is_ours else 1):
        with bench.queues() as queues:
            buffer = task_buffer(noop)
            for _ in range(count):
                queues.send(buffer)
            endpoint = bench.endpoint(kind, queues)
            try:
                drain(queues, 1)
                first = time.monotonic()
                drain(queues, count)
                end = time.monotonic()
                seconds.append(end - endpoint.started)
                rate.append(count / (end - first))
                cpu.append(cpu_seconds(endpoint.family()) * 1000 / count)
                queues.check_one()
            finally:
                endpoint.stop()
    return {"seconds": spread(seconds), "cpu_ms": spread(cpu), "per_second": spread(rate)}


@row(("mib", "idle user endpoint: memory (PSS)", "MiB"),
     ("processes", "processes", ""),
     ("cpu_ms_per_minute", "CPU a minute", "ms"))
def idle(bench, kind) -> dict:
    with bench.queues() as queues:
        endpoint = bench.endpoint(kind, queues, idle=1)
        try:
            bench.warm_up(queues)
            time.sleep(12)  # its block goes after a second, the original looks every five
            members = endpoint.family()
            before = cpu_seconds(members)
            watch = bench.watch_seconds
            time.sleep(watch)
            members = endpoint.family()
            return {"mib": pss_kib(members) / 1024, "processes": len(members),
                    "cpu_ms_per_minute": (cpu_seconds(members) - before) * 1000 * 60 / watch}
        finally:
            endpoint.stop()


@row(("mib", "user endpoint with a block of two warm workers: memory (PSS)", "MiB"),
     ("processes", "processes", ""),
     ("cpu_ms_per_minute", "CPU a minute while nobody submits", "ms"))
def block(bench, kind) -> dict:
    with bench.queues() as queues:
        endpoint = bench.endpoint(kind, queues)
        try:
            bench.warm_up(queues)
            for _ in range(4):
                queues.send(task_buffer(pause, 1.0))
            drain(queues, 4)
            queues.check_one()
            members = endpoint.family()
            before = cpu_seconds(members)
            watch = bench.watch_seconds
            time.sleep(watch)
            return {"mib": pss_kib(members) / 1024, "processes": len(members),
                    "cpu_ms_per_minute": (cpu_seconds(members) - before) * 1000 * 60 / watch}
        finally:
            endpoint.stop()


def pause(seconds):
    import time

    time.sleep(seconds)
