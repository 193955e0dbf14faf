"""The rows that need a whole site: service, manager, mapped accounts, and scripts with the SDK."""

from __future__ import annotations

import contextlib
import time

import burst
import instant
from direct import cpu_seconds, descendants, pss_kib, spread
from rows import row
from support.process import processes_of, wait_for


@contextlib.contextmanager
def running(bench, kind, users: int = 1):
    site = bench.site(kind, users)
    try:
        site.start()
        yield site
    finally:
        site.stop()
        uids = {account.uid for account in site.accounts}

        def gone():
            return not any(processes_of(uid) for uid in uids)

        with contextlib.suppress(AssertionError):  # the original's may stay: the accounts' end ends them
            wait_for("end of the user endpoints", gone, 20)


def members(site) -> list[int]:
    """The manager, and all that the site's users run."""
    mine = {pid for account in site.accounts for pid, _ in processes_of(account.uid)}
    return sorted(mine | set(descendants(site.manager.pid)))


@row(("seconds", "manager started → ready", "s"),
     ("mib", "memory (PSS)", "MiB"),
     ("processes", "processes", ""),
     ("cpu_ms_per_minute", "CPU a minute", "ms"))
def manager(bench, kind) -> dict:
    seconds = []
    site = bench.site(kind)
    try:
        for _ in range(bench.repeat(10 if kind.is_ours else 4)):
            site.stop()
            begin = time.monotonic()
            site.manager.start()
            seconds.append(time.monotonic() - begin)
        time.sleep(5)
        family = descendants(site.manager.pid)
        before = cpu_seconds(family)
        watch = bench.watch_seconds
        time.sleep(watch)
        return {"seconds": spread(seconds), "mib": pss_kib(family) / 1024, "processes": len(family),
                "cpu_ms_per_minute": (cpu_seconds(family) - before) * 1000 * 60 / watch}
    finally:
        site.stop()


FIRST = """
    import json, time
    from globus_compute_sdk import Client, Executor

    def begun():
        # When the user endpoint and this worker began, by the kernel's clock.
        import os, time
        boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        def start(pid):
            with open(f"/proc/{pid}/stat") as f:
                return boot + int(f.read().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.stat("/proc/" + pid).st_uid == os.getuid():
                    with open(f"/proc/{pid}/cmdline") as f:
                        if "Globus Compute Endpoint (" in f.read():
                            found.append(start(pid))
            except OSError:
                pass
        return max(found), start(os.getpid())

    client = Client()
    begin = time.time()
    with Executor(endpoint_id="<ENDPOINT>", user_endpoint_config=<CONFIG>) as ex:
        future = ex.submit(begun)
        endpoint, worker = future.result(timeout=120)
        end = time.time()
    runs = client.get_task(future.task_id)["details"]["task_transitions"]["execution-start"]
    print(json.dumps([future.task_id, [begin, endpoint, worker, runs, end]]))
"""


@row(("seconds", "first task of a user without a user endpoint, submit() → result", "s"),
     ("process", "submit() → the user endpoint's process begins", "s"),
     ("ready", "it begins → it is ready, the service keeps the task", "s"),
     ("worker", "the service keeps the task → a worker's process begins", "s"),
     ("function", "it begins → the function begins", "s"),
     ("back", "the function begins → the service has the result", "s"),
     ("tick", "the service has the result → the SDK's future has it", "s"))
def first(bench, kind) -> dict:
    with running(bench, kind) as site:
        got = [steps_of(site, i) for i in range(bench.repeat(8 if kind.is_ours else 4))]
    steps = ("process", "ready", "worker", "function", "back", "tick")
    return {"seconds": spread([sum(g) for g in got]),
            **{name: spread([g[i] for g in got]) for i, name in enumerate(steps)}}


def steps_of(site, run: int) -> list[float]:
    task, (begin, endpoint, worker, runs, end) = site.measure(FIRST, CONFIG={"run": run})
    received, done = burst.times_of(site.service, task)
    at = [begin, endpoint, received, worker, runs, done, end]
    return [b - a for a, b in zip(at, at[1:])]


@row(("seconds", "warm task through REST, service has it → service has the result", "s"))
def at_service(bench, kind) -> dict:
    """By the service's own clock; what asks for the result has no part in it."""
    with running(bench, kind) as site:
        user = burst.User(site, 0)
        user.first_task(time.monotonic())
        return {"seconds": spread([user.timed_task() for _ in range(bench.repeat(100 if kind.is_ours else 20))])}


MANY = """
    import json, resource, time
    from globus_compute_sdk import Executor
    def f(): return None
    with Executor(endpoint_id="<ENDPOINT>", batch_size=500, api_burst_limit=100) as ex:
        ex.submit(f).result(timeout=120)
        begin = time.monotonic()
        for future in [ex.submit(f) for _ in range(<COUNT>)]:
            future.result(timeout=300)
        seconds = time.monotonic() - begin
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seconds": seconds, "cpu": used.ru_utime + used.ru_stime}))
"""


@row(("seconds", "1 000 no-op tasks through the SDK", "s"),
     ("cpu_ms", "CPU a task: manager, user endpoint, workers", "ms"),
     ("sdk_cpu_ms", "CPU a task: the user's script", "ms"))
def thousand(bench, kind) -> dict:
    return many(bench, kind, 1000, 5 if kind.is_ours else 3)


@row(("seconds", "5 000 no-op tasks through the SDK", "s"),
     ("cpu_ms", "CPU a task: manager, user endpoint, workers", "ms"),
     ("sdk_cpu_ms", "CPU a task: the user's script", "ms"), quick=False)
def five_thousand(bench, kind) -> dict:
    return many(bench, kind, 5000, 2)


def many(bench, kind, count: int, times: int) -> dict:
    seconds, cpu, sdk = [], [], []
    with running(bench, kind) as site:
        for _ in range(bench.repeat(times)):
            before = cpu_seconds(members(site))
            got = site.measure(MANY, COUNT=count)
            seconds.append(got["seconds"])
            cpu.append((cpu_seconds(members(site)) - before) * 1000 / count)
            sdk.append(got["cpu"] * 1000 / count)
    return {"seconds": spread(seconds), "cpu_ms": spread(cpu), "sdk_cpu_ms": spread(sdk)}


@row(("seconds", "1 000 no-op tasks through the SDK, to an endpoint that answers at once", "s"),
     ("sdk_cpu_ms", "CPU a task: the user's script", "ms"), kinds=("reference",))
def answers_at_once(bench, kind) -> dict:
    seconds, sdk = [], []
    site = bench.site(bench.kinds[1])
    with instant.endpoint(site) as site.endpoint_id:
        for _ in range(bench.repeat(5)):
            got = site.measure(MANY, COUNT=1000)
            seconds.append(got["seconds"])
            sdk.append(got["cpu"] * 1000 / 1000)
    return {"seconds": spread(seconds), "sdk_cpu_ms": spread(sdk)}


USERS = (("seconds", "20 users without user endpoints at once → last result", "s"),
         ("median", "half of them had theirs after", "s"),
         ("mib", "memory of all (PSS)", "MiB"),
         ("processes", "processes", ""),
         ("cpu", "CPU of all", "s"))


@row(*USERS, quick=False)
def twenty_users(bench, kind) -> dict:
    return users(bench, kind, 20)


@row(("seconds", "300 users without user endpoints at once → last result", "s"), *USERS[1:], quick=False,
     kinds=("ours",))
def three_hundred_users(bench, kind) -> dict:
    return users(bench, kind, 300)


def users(bench, kind, count: int) -> dict:
    with running(bench, kind, count) as site:
        before = cpu_seconds(members(site))
        seconds = burst.submit_at_once(site)
        family = members(site)
        return {"seconds": max(seconds), "median": sorted(seconds)[count // 2],
                "mib": pss_kib(family) / 1024, "processes": len(family),
                "cpu": cpu_seconds(family) - before}
