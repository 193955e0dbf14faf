"""The rows of the table: each measures one thing on one kind of endpoint and returns numbers.

A row is a function of (bench, kind); what it returns is {column: number or spread}, the same for
both kinds.  Rows that need a whole site get one; the others talk to a user endpoint directly.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import burst
from direct import cpu_seconds, descendants, drain, noop, pss_kib, spread, task_buffer


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    measure: Callable
    headline: str  # the column that the ratio is made of
    unit: str
    more_is_better: bool = False
    quick: bool = True


ROWS: list[Row] = []


def row(title: str, headline: str, unit: str, more_is_better: bool = False, quick: bool = True):
    def register(function: Callable) -> Callable:
        ROWS.append(Row(function.__name__, title, function, headline, unit, more_is_better, quick))
        return function

    return register


# ---- the command line ----------------------------------------------------------------------------


@row("globus-compute-endpoint version", "seconds", "s")
def version(bench, kind) -> dict:
    seconds = []
    for _ in range(bench.repeat(5)):
        begin = time.monotonic()
        subprocess.run([kind.program, "version"], check=True, capture_output=True,
                       env={"HOME": str(bench.folder), "PATH": "/usr/bin:/bin"})
        seconds.append(time.monotonic() - begin)
    return {"seconds": spread(seconds)}


# ---- one user endpoint, directly -----------------------------------------------------------------


def nested(length: int) -> str:
    return task_buffer(noop, "x" * length)


@row("user endpoint started → first result of a waiting task", "seconds", "s")
def cold(bench, kind) -> dict:
    seconds = []
    for _ in range(bench.repeat(3)):
        with bench.queues() as queues:
            queues.send(task_buffer(noop))
            endpoint = bench.endpoint(kind, queues)
            try:
                queues.next_result()
                seconds.append(time.monotonic() - endpoint.started)
                queues.stop_consuming()
            finally:
                endpoint.stop()
    return {"seconds": spread(seconds)}


@row("warm round trip, task published → result published, no-op", "seconds", "s")
def warm(bench, kind) -> dict:
    return bench.warm(kind, task_buffer(noop), bench.repeat(200 if kind.is_ours else 20))


@row("warm round trip with 100 kB of arguments", "seconds", "s")
def warm_100k(bench, kind) -> dict:
    return bench.warm(kind, nested(100_000), bench.repeat(100 if kind.is_ours else 10))


@row("warm round trip with 5 MB of arguments", "seconds", "s")
def warm_5m(bench, kind) -> dict:
    return bench.warm(kind, nested(5_000_000), bench.repeat(10))


@row("5 000 waiting no-op tasks, two workers", "per_second", "tasks/s", more_is_better=True)
def waiting(bench, kind) -> dict:
    count = 5000
    with bench.queues() as queues:
        endpoint = bench.endpoint(kind, queues)
        try:
            bench.warm_up(queues)
            before = cpu_seconds(endpoint.family())
            buffer = task_buffer(noop)
            begin = time.monotonic()
            for _ in range(count):
                queues.send(buffer)
            drain(queues, count)
            took = time.monotonic() - begin
            return {"per_second": count / took, "seconds": took,
                    "cpu_ms_per_task": (cpu_seconds(endpoint.family()) - before) * 1000 / count}
        finally:
            endpoint.stop()


@row("idle user endpoint, no block: memory (PSS)", "mib", "MiB")
def idle(bench, kind) -> dict:
    with bench.queues() as queues:
        endpoint = bench.endpoint(kind, queues, idle=1)
        try:
            bench.warm_up(queues)
            time.sleep(12)  # its block goes after a second, the original looks every five
            members = endpoint.family()
            before = cpu_seconds(members)
            watch = 20 if bench.quick else 60
            time.sleep(watch)
            members = endpoint.family()
            return {"mib": pss_kib(members) / 1024, "processes": len(members),
                    "cpu_ms_per_minute": (cpu_seconds(members) - before) * 1000 * 60 / watch}
        finally:
            endpoint.stop()


@row("user endpoint with a warm block of two workers: memory (PSS)", "mib", "MiB")
def block(bench, kind) -> dict:
    with bench.queues() as queues:
        endpoint = bench.endpoint(kind, queues)
        try:
            bench.warm_up(queues)
            for _ in range(4):
                queues.send(task_buffer(pause, 1.0))
            drain(queues, 4)
            members = endpoint.family()
            return {"mib": pss_kib(members) / 1024, "processes": len(members)}
        finally:
            endpoint.stop()


def pause(seconds):
    import time

    time.sleep(seconds)


# ---- a whole site --------------------------------------------------------------------------------


@row("manager start → ready", "seconds", "s")
def manager(bench, kind) -> dict:
    site = bench.site(kind)
    seconds = []
    try:
        for _ in range(bench.repeat(2)):
            begin = time.monotonic()
            site.start()
            seconds.append(time.monotonic() - begin)
            time.sleep(2)
            members = descendants(site.manager.pid)
            mib = pss_kib(members) / 1024
            before = cpu_seconds(members)
            watch = 10 if bench.quick else 60
            time.sleep(watch)
            cpu = (cpu_seconds(members) - before) * 1000 * 60 / watch
            site.stop()
        return {"seconds": spread(seconds), "mib": mib, "processes": len(members),
                "cpu_ms_per_minute": cpu}
    finally:
        site.stop()


FIRST = """
    import json, time
    from globus_compute_sdk import Executor
    def f(): return 1
    begin = time.monotonic()
    with Executor(endpoint_id="<ENDPOINT>", user_endpoint_config=<CONFIG>) as ex:
        assert ex.submit(f).result(timeout=120) == 1
        seconds = time.monotonic() - begin
        warm = []
        for _ in range(<WARM>):
            t = time.monotonic(); ex.submit(f).result(timeout=60); warm.append(time.monotonic() - t)
    print(json.dumps({"seconds": seconds, "warm": warm}))
"""


@row("first task of a new user, from submit() to result, in the SDK", "seconds", "s")
def first(bench, kind) -> dict:
    site = bench.site(kind)
    try:
        site.start()
        got = [site.measure(FIRST, CONFIG={"run": i}, WARM=4) for i in range(bench.repeat(2))]
        return {"seconds": spread([g["seconds"] for g in got]),
                "warm_seconds": spread([w for g in got for w in g["warm"]])}
    finally:
        site.stop()


MANY = """
    import json, time
    from globus_compute_sdk import Executor
    def f(): return None
    with Executor(endpoint_id="<ENDPOINT>") as ex:
        ex.submit(f).result(timeout=120)
        begin = time.monotonic()
        for future in [ex.submit(f) for _ in range(<COUNT>)]:
            future.result(timeout=300)
        print(json.dumps({"seconds": time.monotonic() - begin}))
"""


@row("1 000 no-op tasks through the SDK", "seconds", "s")
def thousand(bench, kind) -> dict:
    return many(bench, kind, 1000)


@row("5 000 no-op tasks through the SDK", "seconds", "s", quick=False)
def five_thousand(bench, kind) -> dict:
    return many(bench, kind, 5000)


def many(bench, kind, count: int) -> dict:
    site = bench.site(kind)
    try:
        site.start()
        seconds = [site.measure(MANY, COUNT=count)["seconds"] for _ in range(bench.repeat(1))]
        return {"seconds": spread(seconds)}
    finally:
        site.stop()


@row("20 users cold at once, last result", "seconds", "s", quick=False)
def twenty_users(bench, kind) -> dict:
    return users(bench, kind, 20)


@row("300 users cold at once, last result (ours alone)", "seconds", "s", quick=False)
def three_hundred_users(bench, kind) -> dict | None:
    return users(bench, kind, 300) if kind.is_ours else None


def users(bench, kind, count: int) -> dict:
    site = bench.site(kind, users=count)
    try:
        site.start()
        seconds = burst.submit_at_once(site)
        members = descendants(site.manager.pid)
        return {"seconds": max(seconds), "median_seconds": sorted(seconds)[len(seconds) // 2],
                "mib": pss_kib(members) / 1024, "processes": len(members)}
    finally:
        site.stop()


@row("installed size", "mib", "MiB")
def size(bench, kind) -> dict:
    total = sum(p.lstat().st_size for p in kind.installed if p.is_file() and not p.is_symlink())
    return {"mib": total / (1 << 20), "packages": kind.packages}
