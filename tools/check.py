"""Builds and runs every test; started by ./check, which sees to what it needs.

Parts, in this order:
    lint            tools/lint
    unit            the unit tests of a plain build
    unit-asan       the same under AddressSanitizer and UndefinedBehaviorSanitizer
    one a folder    the system tests of tests/<folder>, with pytest, against the installed tree;
                    soak runs with --soak MINUTES only
    leftovers       is anything still running that a test started?

Everything runs in a child of this process, which is a child subreaper: a daemon that a test forgot
becomes our child, however often it forked.  We are its init in the meantime, and reap.  What is
still there at the end is named, ended and counted as a failure.
The plain build is installed into a private folder that all local accounts can reach; tests find it
through SALLYPORT_PREFIX.
"""

from __future__ import annotations

import argparse
import ctypes
import fnmatch
import os
import pathlib
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

TOP = pathlib.Path(__file__).resolve().parent.parent
PR_SET_CHILD_SUBREAPER = 36
UNIT_TIMEOUT_S = 600
IN_PARTS = {"service": 2}  # a folder's files, dealt out to so many runs
FOLDER_TIMEOUT_S = 1200  # a folder of tests/; --all: ALL_TIMES as long
ALL_TIMES = 6
SLOW_FIRST = ("service", "providers", "cli", "endpoint", "auth", "peers", "whole", "listener", "manager")  # none ends last, alone


@dataclass
class Part:
    """Result of one part: names of failed tests, a reason for each skipped one."""

    name: str
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Run:
    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.parts: list[Part] = []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-check-", dir="/var/tmp"))
        self.folder.chmod(0o711)
        self.logs = TOP / "build-check-logs"
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()
        self.peers = subprocess.run([TOP / "tools/install-deps", "--venv", "peers"], check=True,
                                    capture_output=True, text=True).stdout.strip()

    def wants(self, name: str) -> bool:
        return not self.options.only or any(
            fnmatch.fnmatchcase(name, pattern) or pattern in name for pattern in self.options.only)

    def command(self, log: str, argv: list[str], seconds: float, cwd: pathlib.Path = TOP,
                **env: str) -> int:
        """Runs a program, its output into a log; the exit status, 124 when it took too long."""
        with open(self.logs / log, "ab") as out:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd,
                                       env={**os.environ, **env}, start_new_session=True)
            try:
                return process.wait(seconds)
            except subprocess.TimeoutExpired:
                out.write(f"\ncheck: ended after {seconds:.0f} s\n".encode())
                return 124
            finally:
                end_group(process)

    def tail(self, log: str, lines: int = 25) -> str:
        return "\n".join((self.logs / log).read_text(errors="replace").splitlines()[-lines:])

    def add(self, part: Part, begin: float) -> None:
        part.seconds = time.monotonic() - begin
        self.parts.append(part)
        skipped = f", {len(part.skipped)} skipped" if part.skipped else ""
        lines = [f"{part.name:<16} {part.passed:5} passed, {len(part.failed)} failed{skipped}"
                 f"  ({part.seconds:.1f} s)"]
        lines += [f"    FAILED {name}" for name in part.failed]
        print("\n".join(lines), flush=True)


def end_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def from_junit(part: Part, path: pathlib.Path, log: str, status: int) -> None:
    """Counts a JUnit file, which meson and pytest both write."""
    if not path.exists():
        part.failed.append(f"{part.name}: no result, exit status {status}; see {log}")
        return
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname') or ''} {case.get('name')}".strip()
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped")
        if bad is not None:
            part.failed.append(name)
        elif skipped is not None:
            part.skipped.append(skipped.get("message") or "no reason given")
        else:
            part.passed += 1
    if status != 0 and not part.failed:
        part.failed.append(f"{part.name}: exit status {status}; see {log}")


def lint(run: Run) -> None:
    begin = time.monotonic()
    part = Part("lint")
    if run.command("lint.log", ["tools/lint"], 120):
        part.failed.append("tools/lint")
        print(run.tail("lint.log"))
    else:
        part.passed = 1
    run.add(part, begin)


def build(run: Run, folder: str, *options: str) -> bool:
    """Sets up and compiles; a failure is a failed part."""
    begin = time.monotonic()
    log = f"{folder}.log"
    status = 0
    if not (TOP / folder / "build.ninja").exists():
        status = run.command(log, ["meson", "setup", folder, "--prefix=/opt/sallyport", *options], 300)
    if status == 0:
        status = run.command(log, ["meson", "compile", "-C", folder], 900)
    if status:
        part = Part(f"build of {folder}", failed=["meson"])
        run.add(part, begin)
        print(run.tail(log))
        return False
    print(f"{folder} built  ({time.monotonic() - begin:.1f} s)", flush=True)
    return True


def unit(run: Run, name: str, folder: str, **env: str) -> None:
    begin = time.monotonic()
    part = Part(name)
    junit = TOP / folder / "meson-logs" / "testlog.junit.xml"
    junit.unlink(missing_ok=True)
    log = f"{name}.log"
    factor = "4" if env else "1"
    status = run.command(log, ["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs",
                               "--timeout-multiplier", factor], UNIT_TIMEOUT_S, **env)
    # A program that crashed between its tests shows in the text only.
    bad = re.findall(r"^\s*\d+/\d+ (.+?)\s+(?:ERROR|TIMEOUT)\s", (run.logs / log).read_text(), re.M)
    part.failed = list(dict.fromkeys(bad))
    from_junit(part, junit, log, status)
    run.add(part, begin)
    if part.failed:
        print(run.tail(log, 60))


def install(run: Run, folder: str) -> pathlib.Path | None:
    """Into a private folder by DESTDIR, so that the tree that is tested has been moved."""
    log = f"{folder}.log"
    if run.command(log, ["meson", "install", "-C", folder, "--no-rebuild", "--quiet"], 120,
                   DESTDIR=str(run.folder)):
        run.add(Part("install", failed=["meson install"]), time.monotonic())
        print(run.tail(log))
        return None
    return run.folder / "opt" / "sallyport"


def system(run: Run, folder: pathlib.Path, prefix: pathlib.Path, name: str, files: list[str]) -> None:
    begin = time.monotonic()
    part = Part(name)
    log = f"{name}.log"
    asked = {"SALLYPORT_SOAK": str(run.options.soak)} if run.options.soak else {}
    asked |= {"SALLYPORT_ALL": "1"} if run.options.all else {}
    asked |= {"SALLYPORT_QUICK": "1"} if run.options.quick else {}
    seconds = FOLDER_TIMEOUT_S * (ALL_TIMES if run.options.all else 1)
    seconds += 60 * run.options.soak if folder.name == "soak" else 0
    junit = run.logs / f"{name}.xml"
    status = run.command(
        log, [f"{run.peers}/bin/python", "-m", "pytest", *files, f"--junitxml={junit}", "-v",
              "-p", "no:cacheprovider", "--durations=5"], seconds, TOP / "tests",
        SALLYPORT_PREFIX=str(prefix), SALLYPORT_SOURCE=str(TOP),
        SALLYPORT_BUILD=str(TOP / "build-release"), PYTHONDONTWRITEBYTECODE="1",
        TMPDIR=str(run.folder), **asked)
    if status != 5:  # 5: no test in there
        from_junit(part, junit, log, status)
    if part.failed or status not in (0, 5):
        print(run.tail(log, 60))
    run.add(part, begin)


def descendants() -> dict[int, str]:
    """Living processes below us: pid and command line."""
    parents: dict[int, int] = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                rest = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if rest[0] != "Z":
                parents[int(entry.name)] = int(rest[1])
    ours = {os.getpid()}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in ours} - ours
        ours |= more
        grown = bool(more)
    lines = {}
    for pid in ours - {os.getpid()}:
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        lines[pid] = b" ".join(words).decode(errors="replace").strip() or "(a kernel name)"
    return lines


def kill_all(pids: Iterable[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def leftovers(run: Run) -> None:
    begin = time.monotonic()
    part = Part("leftovers")
    end = begin + 10  # what was told to stop may still be at it
    reap()
    while (left := descendants()) and time.monotonic() < end:
        time.sleep(0.1)
        reap()
    part.failed = [f"still running: {pid} {line[:160]}" for pid, line in left.items()]
    kill_all(left)
    if not part.failed:
        part.passed = 1
    run.add(part, begin)


def tests_folders(run: Run) -> list[pathlib.Path]:
    folders = {path.parent for path in (TOP / "tests").glob("*/test_*.py")}
    order = {name: i for i, name in enumerate(SLOW_FIRST)}
    return sorted((folder for folder in folders if run.wants(folder.name)),
                  key=lambda folder: (order.get(folder.name, len(order)), folder.name))


def parts_of(folder: pathlib.Path) -> list[tuple[str, list[str]]]:
    """Name and what pytest is to run, of each part of a folder of tests."""
    n = IN_PARTS.get(folder.name, 1)
    if n == 1:
        return [(folder.name, [folder.name])]
    files = sorted(f"{folder.name}/{path.name}" for path in folder.glob("test_*.py"))
    return [(f"{folder.name}-{i + 1}", files[i::n]) for i in range(n)]


def sanitized(run: Run) -> None:
    if build(run, "build-asan", "-Db_sanitize=address,undefined"):
        unit(run, "unit-asan", "build-asan", ASAN_OPTIONS="detect_stack_use_after_return=1",
             UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")


def everything(run: Run) -> None:
    if run.wants("lint"):
        lint(run)
    folders = tests_folders(run)
    jobs: list[Callable[[], None]] = []
    if run.wants("unit-asan") and not run.options.quick:
        jobs.append(lambda: sanitized(run))
    if (run.wants("unit") or folders) and build(run, "build-release"):
        if run.wants("unit"):
            unit(run, "unit", "build-release")
        prefix = install(run, "build-release") if folders else None
        if prefix:
            jobs += [partial(system, run, folder, prefix, *part) for folder in folders for part in parts_of(folder)]
    # Three at a time: most of the time a system test waits for something.
    with ThreadPoolExecutor(max_workers=3) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def wind_down(child: int) -> None:
    """Ends the work early, so that pytest's fixtures still take their accounts and brokers away."""
    print("check: interrupted; the tests clean up", flush=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.kill(child, signal.SIGKILL)
    for pid, line in descendants().items():
        if "-m pytest" in line:
            os.kill(pid, signal.SIGINT)
    end = time.monotonic() + 30
    while any("-m pytest" in line for line in descendants().values()) and time.monotonic() < end:
        reap()
        time.sleep(0.1)
    kill_all(descendants())


def in_child(run: Run) -> None:
    """everything() in a child, its parts brought back; meanwhile all orphans are reaped."""
    result = run.folder / "parts"
    child = os.fork()
    if child == 0:
        os.setsid()  # a Ctrl-C is the parent's, who knows how to end this
        try:
            everything(run)
            result.write_bytes(pickle.dumps(run.parts))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    status = 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, interrupted)
    try:
        while True:
            pid, code = os.waitpid(-1, 0)
            if pid == child:
                status = os.waitstatus_to_exitcode(code)
                break
    except KeyboardInterrupt:
        wind_down(child)
    if status == 0:
        run.parts = pickle.loads(result.read_bytes())
    else:
        run.parts.append(Part("check", failed=[f"ended early, status {status}"]))


def summary(run: Run) -> int:
    passed = sum(part.passed for part in run.parts)
    failed = [f"{part.name}: {name}" for part in run.parts for name in part.failed]
    skipped = Counter((part.name, " ".join(why.split())) for part in run.parts for why in part.skipped)
    print()
    if os.geteuid() != 0:
        print("Not run as root: what switches accounts was skipped.")
    for (name, why), count in skipped.items():
        print(f"skipped {count} of {name}: {why}")
    for name in failed:
        print(f"FAILED {name}")
    if failed:
        print(f"Logs are in {run.logs}")
    if skipped:
        print(f"{skipped.total()} skipped")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="./check", description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true",
                        help="leave out the sanitizer build and what tests call slow")
    parser.add_argument("--only", metavar="PATTERN", action="append",
                        help="only parts of that name (lint, unit, unit-asan, a folder of tests/); "
                             "again for more")
    parser.add_argument("--all", action="store_true",
                        help="also what takes long: every pair beside the original, every crash point")
    parser.add_argument("--soak", metavar="MINUTES", type=float, default=0,
                        help="also run tasks for so long while processes are killed at random")
    options = parser.parse_args()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        print("check: no child subreaper here; daemons that tests forget go unseen", file=sys.stderr)
    run = Run(options)
    try:
        in_child(run)
        leftovers(run)
    finally:
        shutil.rmtree(run.folder, ignore_errors=True)
    return summary(run)


if __name__ == "__main__":
    sys.exit(main())
