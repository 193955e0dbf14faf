"""Minutes of real tasks while processes are killed at random: each task ends with one result or one
clear error, and nothing is left behind.  SALLYPORT_SOAK=MINUTES runs it (`./check --soak MINUTES`)."""

import collections
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

import pytest

from support import rabbit as rabbit_support
from support.process import Daemon, processes_of, wait_for
from support.site import Site
from support.stack import Manager, Service

MINUTES = float(os.environ.get("SALLYPORT_SOAK") or 0)
SEED = int(os.environ.get("SALLYPORT_SOAK_SEED") or time.time())
LOAD = pathlib.Path(__file__).with_name("load.py")
TEMPLATE = """\
engine:
  type: GlobusComputeEngine
  max_workers_per_node: 2
  max_retries_on_system_failure: 2
  job_status_kwargs: {max_idletime: 5}
  provider: {type: LocalProvider, init_blocks: 0, min_blocks: 0, max_blocks: 2}
heartbeat_period: 5
idle_heartbeats_soft: 2
idle_heartbeats_hard: 12
"""  # hard: one that was started and gets no task, since another one took it, leaves by this alone
# What a user's process is, by its command line.
KINDS = {"worker": "worker.py", "agent": "/node-agent ", "block": "/submit_scripts/", "endpoint": "Globus Compute Endpoint ("}
# How often which is hit, in parts of all.
WEIGHTS = {"worker": 8, "agent": 5, "block": 5, "endpoint": 5, "broker": 2, "service": 2, "listener": 1}

pytestmark = pytest.mark.skipif(not MINUTES, reason="SALLYPORT_SOAK=MINUTES asks for it")


def pids() -> list[int]:
    return [int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()]


def command(pid: int) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def parent(pid: int) -> int:
    try:
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


class Killer:
    def __init__(self, service: Service, manager: Manager, uids: list[int]):
        self.service, self.manager, self.uids = service, manager, uids
        self.hits: collections.Counter[str] = collections.Counter()

    def hit(self) -> None:
        what = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if what == "broker":
            if not self.kill_broker():
                return
        elif what == "listener":
            if not self.kill_listener():
                return
        elif what == "service":
            self.restart_service()
        elif not self.kill_one(what):
            return
        self.hits[what] += 1
        print(f"{time.strftime('%H:%M:%S')} killed {what}", flush=True)

    def kill_one(self, what: str) -> bool:
        found = [pid for uid in self.uids for pid, line in processes_of(uid) if KINDS[what] in line]
        if not found:
            return False
        try:
            os.kill(random.choice(found), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def kill_broker(self) -> bool:
        """The service runs it, and starts it again."""
        found = [pid for pid in pids() if "beam.smp" in command(pid) and str(self.service.folder) in command(pid)]
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return bool(found)

    def kill_listener(self) -> bool:
        """The monitor starts another one."""
        found = [pid for pid in pids() if "/listener" in command(pid) and parent(pid) == self.manager.pid]
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return bool(found)

    def restart_service(self) -> None:
        os.kill(self.service.pid, signal.SIGKILL)
        self.service._daemon.process.wait(10)
        time.sleep(random.uniform(0.2, 4))
        log = self.service.folder / "serve.out"
        log.rename(self.service.folder / f"serve-{self.hits['service']}.out")
        self.service.start()


@pytest.fixture(scope="module")
def top():
    path = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-soak-", dir="/var/tmp"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def parts(prefix, accounts, top):
    if reason := rabbit_support.why_not():
        pytest.skip(reason)
    with Service(prefix, top / "service") as service:
        site = Site(service, prefix, top / "soak", accounts, pathlib.Path(sys.executable),
                    TEMPLATE, users=("soaka", "soakb"))
        site.endpoint_id = site.manager.start()
        yield site, service
        assert site.manager.stop() == 0


def temp_files(uids: list[int]) -> set[str]:
    found = set()
    for place in ("/tmp", "/var/tmp", "/dev/shm"):
        for entry in os.scandir(place):
            if entry.stat(follow_symlinks=False).st_uid in uids:
                found.add(entry.path)
    return found


@pytest.mark.timeout(MINUTES * 60 + 1200)
def test_every_task_has_one_end(parts):
    site, service = parts
    random.seed(SEED)
    print(f"SALLYPORT_SOAK_SEED={SEED}")
    uids = [account.uid for account in site.accounts]
    before = temp_files(uids)  # of earlier accounts with the same numbers
    loads = []
    for i, client in enumerate(site.clients):
        home = site.folder / f"sdk-{i}"
        home.mkdir()
        outcomes = home / "outcomes"
        argv = [sys.executable, LOAD, site.endpoint_id, str(MINUTES * 60), outcomes]
        loads.append((Daemon(argv, home / "load.out", service.environment(home, client)), outcomes))
    try:
        killer = Killer(service, site.manager, uids)
        end = time.monotonic() + MINUTES * 60
        while time.monotonic() < end:
            time.sleep(random.uniform(1, 6))
            killer.hit()
        wait_for("the users' scripts", lambda: not any(load.is_alive() for load, _ in loads), 700, 1)
    finally:
        for load, _ in loads:
            load.stop(5)
    check_outcomes(loads, killer)
    check_nothing_is_left(site, uids, before)


def check_outcomes(loads, killer) -> None:
    counts: collections.Counter[str] = collections.Counter()
    texts: collections.Counter[str] = collections.Counter()
    bad, seen = [], set()
    for load, outcomes in loads:
        assert "\nfinished" in load.output(), load.output()[-3000:]
        for line in outcomes.read_text().splitlines():
            o = json.loads(line)
            counts[o["outcome"]] += 1
            if o["outcome"] in ("lost", "refused"):
                texts[(o["text"].strip().splitlines() or [""])[-1][:160]] += 1
            if o["outcome"] in ("open", "unknown", "wrong") or o["task"] and o["task"] in seen or \
                    o["outcome"] in ("lost", "refused") and not o["text"].strip():
                bad.append(o)
            seen.add(o["task"])
    print(dict(counts), dict(killer.hits))
    for text, n in texts.most_common():
        print(n, text)
    assert not bad, "\n".join(json.dumps(o) for o in bad[:20])
    assert counts["result"] > 0


def story(account) -> str:
    """What runs, and the end of each log."""
    text = [f"{pid} {line}" for pid, line in processes_of(account.uid)]
    for log in account.home.glob(".globus_compute/*/endpoint.log"):
        text += [str(log), *log.read_text(errors="replace").splitlines()[-60:]]
    return "\n".join(text)


def check_nothing_is_left(site, uids, before) -> None:
    for account in site.accounts:
        try:
            wait_for("the user endpoints' leaving", lambda: not processes_of(account.uid), 150, 1)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{story(account)}") from None
    for account in site.accounts:
        for name in ("batch_jobs.json", "daemon.pid", "unacked_results/*", "*.new", "*.tmp"):
            left = [path for path in account.home.glob(f".globus_compute/*/{name}")
                    if path.name != ".spool" or path.stat().st_size > 0]
            assert not left, left
    left = temp_files(uids) - before
    assert not left, left
