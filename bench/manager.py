"""bench/manager.py PREFIX [--burst N] [--users N] [--single N] [--live N] [--idle SECONDS]

What the manager itself costs, as JSON: the web service is the stand-in of the tests, the broker a
private one, the user endpoint a program that says when its main began.  Needs root (accounts are
made and removed) and PYTHONPATH=bench:tests:tests/listener.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time
import uuid

import pika
from doubles import Queues, Service, creds, identity
from support.accounts import Accounts
from support.process import wait_for
from support.rabbit import RabbitNode
from support.sdk import client_environment
from support.stack import Manager

HERE = pathlib.Path(__file__).resolve().parent
TICKS = os.sysconf("SC_CLK_TCK")
CONFIG = """email: a@example.org
identity_mapping_config_path: {folder}/map.json
sallyport: {{max_starts_per_user_per_minute: 0}}
"""
TEMPLATE = """engine:
  type: GlobusComputeEngine
  max_workers_per_node: {{ workers|default(1) }}
  provider: {type: LocalProvider, init_blocks: 0, min_blocks: 0, max_blocks: 1}
idle_heartbeats_soft: {{ idle|default(10) }}
"""
SCHEMA = {"type": "object", "properties": {"workers": {"type": "integer", "minimum": 1},
                                           "partition": {"type": "string"}}}


def processes(manager: int) -> list[int]:
    """The manager, its listener and the listener's helper; not its user endpoints."""
    found = [manager]
    for parent in found:
        for child in pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            try:
                line = pathlib.Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            if b"listener" in line:
                found.append(int(child))
    return found


def pss_kib(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total


def cpu_seconds(pids: list[int]) -> float:
    """Of these processes and of all children that they have reaped."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += sum(map(int, fields[11:15]))
    return total / TICKS


def fine_cpu_seconds(pids: list[int]) -> float:
    """Of these processes' threads, from the scheduler: finer than ticks."""
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Site:
    def __init__(self, prefix: pathlib.Path, folder: pathlib.Path, rabbit: RabbitNode, accounts):
        self.rabbit, self.accounts, self.folder = rabbit, accounts, folder
        self.web = Service(rabbit.url)
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        bin_folder.chmod(0o755)
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", HERE / "mark.c", "-o",
                        bin_folder / "globus-compute-endpoint"], check=True)
        self.marks_path = folder / "marks"
        self.manager = Manager(prefix, folder / "m", client_environment(
            self.web.url, (str(uuid.uuid4()), "secret"), folder))
        self.manager.configure("--multi-user", "true", "--contact-email", "a@example.org")
        where = self.manager.endpoint_folder
        self.manager.write("config.yaml", CONFIG.format(folder=where), 0o600)
        self.manager.write("user_config_template.yaml.j2", TEMPLATE)
        self.manager.write("user_config_schema.json", SCHEMA)
        self.manager.write("map.json", [{
            "DATA_TYPE": "expression_identity_mapping#1.0.0",
            "mappings": [{"source": "{username}", "match": ".*=(.*)@example\\.org", "output": "{0}"}]}],
            0o600)
        self.stay(False)
        self.queues = Queues(self.web, rabbit.connect)
        begin = time.monotonic()
        self.manager.start()
        self.start_seconds = time.monotonic() - begin
        wait_for("consumer", lambda: "Awaiting messages" in self.manager.log(), 20, 0.01)

    def stay(self, wanted: bool) -> None:
        self.manager.write("user_environment.yaml",
                           f"PATH: {self.folder}/bin\nMARKS: {self.marks_path}\n"
                           + ("STAY: x\n" if wanted else ""))
        self.marks_path.write_text("")
        self.marks_path.chmod(0o666)

    def marks(self) -> dict[str, float]:
        lines = [line.split() for line in self.marks_path.read_text().splitlines()]
        return {name: float(at) for name, at, _pid in lines}

    def command(self, user: int) -> tuple[str, bytes]:
        account = self.accounts[user % len(self.accounts)]
        me = identity(f"u{user}={account.name}@example.org")
        uep = str(uuid.uuid4())
        name = f"uep.{self.web.endpoint_id}.{uep}"
        return name, json.dumps({
            "command": "cmd_start_endpoint", "args": [],
            "kwargs": {"name": name, "user_opts": {"workers": 4, "partition": "main"},
                       "user_runtime": {"globus_compute_sdk_version": "4.19.0"},
                       "amqp_creds": creds(uep, self.rabbit.url)},
            "globus_username": me["username"], "globus_effective_identity": me["id"],
            "globus_identity_set": [me]}).encode()

    def send(self, channel, body: bytes) -> float:
        at = time.time()
        channel.basic_publish("commands", f"{self.web.endpoint_id}.commands", body, pika.BasicProperties(
            content_type="application/json", timestamp=int(at)))
        return at


def single(site: Site, n: int) -> dict:
    """One after the other: from the publish to the user endpoint's main."""
    seconds = []
    with site.rabbit.connect() as connection:
        channel = connection.channel()
        for i in range(n):
            name, body = site.command(i)
            at = site.send(channel, body)
            wait_for("mark", lambda: name in site.marks(), 20, 0.005)  # noqa: B023
            seconds.append(site.marks()[name] - at)
    seconds.sort()
    return {"n": n, "median_ms": round(statistics.median(seconds) * 1e3, 2),
            "least_ms": round(seconds[0] * 1e3, 2), "p90_ms": round(seconds[int(n * .9)] * 1e3, 2)}


def burst(site: Site, n: int, users: int) -> dict:
    ours = processes(site.manager.pid)
    bodies = [site.command(i % users) for i in range(n)]
    before = cpu_seconds(ours)
    ended = site.manager.log().count("stopped normally")
    with site.rabbit.connect() as connection:
        channel = connection.channel()
        begin = time.time()
        for _, body in bodies:
            site.send(channel, body)
    names = {name for name, _ in bodies}
    wait_for("all marks", lambda: names <= set(site.marks()), 300, 0.02)
    last = max(site.marks()[name] for name in names)
    wait_for("all reaped", lambda: site.manager.log().count("stopped normally") >= n + ended, 60, 0.05)
    cpu = cpu_seconds(ours) - before
    return {"n": n, "users": users, "starts_per_s": round(n / (last - begin), 1),
            "cpu_ms_per_start": round(cpu / n * 1e3, 2),
            "starts_per_cpu_second": round(n / cpu, 1)}


def live(site: Site, n: int) -> dict:
    site.stay(True)
    with site.rabbit.connect() as connection:
        channel = connection.channel()
        for i in range(n):
            site.send(channel, site.command(i)[1])
    wait_for("all marks", lambda: len(site.marks()) >= n, 60, 0.02)
    time.sleep(1)
    return {"n": n, "pss_kib": pss_kib(processes(site.manager.pid))}


def idle(site: Site, seconds: float) -> dict:
    ours = processes(site.manager.pid)
    before = fine_cpu_seconds(ours)
    time.sleep(seconds)
    return {"seconds": seconds,
            "cpu_ms_per_minute": round((fine_cpu_seconds(ours) - before) * 6e4 / seconds, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("prefix", type=pathlib.Path)
    for name, default in (("single", 100), ("burst", 1000), ("users", 200), ("live", 100), ("idle", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    o = parser.parse_args()
    made = Accounts()
    with tempfile.TemporaryDirectory(prefix="sallyport-bench-", dir="/var/tmp") as top:
        folder = pathlib.Path(top)
        folder.chmod(0o711)
        try:
            accounts = [made.get(f"bench{c}") for c in "abcd"]
            with RabbitNode(folder / "rabbit") as rabbit:
                site = Site(o.prefix, folder, rabbit, accounts)
                try:
                    result = {"start_to_ready_s": round(site.start_seconds, 3),
                              "pss_kib": pss_kib(processes(site.manager.pid))}
                    if o.idle:
                        result["idle"] = idle(site, o.idle)
                    if o.single:
                        result["single"] = single(site, o.single)
                    if o.burst:
                        result["burst"] = burst(site, o.burst, o.users)
                    if o.live:
                        result["live"] = live(site, o.live)
                    print(json.dumps(result, indent=2))
                finally:
                    site.manager.stop()
                    site.web.stop()
        finally:
            made.remove()


if __name__ == "__main__":
    main()
