"""blocks_drive in a child process, and command doubles on its PATH."""

from __future__ import annotations

import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import time

from support.process import wait_for

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent


def drive_program() -> pathlib.Path | None:
    """The newest blocks_drive of any build folder ($SALLYPORT_BUILD names one)."""
    places = [pathlib.Path(os.environ["SALLYPORT_BUILD"])] if "SALLYPORT_BUILD" in os.environ else \
        sorted(ROOT.glob("build*"), key=lambda p: p.stat().st_mtime, reverse=True)
    for place in places:
        path = place / "src" / "endpoint" / "blocks" / "blocks_drive"
        if path.exists():
            return path
    return None


class Double:
    """One pretended batch system: its commands in a folder, its jobs, its faults."""

    def __init__(self, folder: pathlib.Path, system: str, commands: list[str]):
        self.folder, self.system = folder, system
        self.bin = folder / "bin"
        for path in (self.bin, folder / "faults", folder / "jobs"):
            path.mkdir(parents=True)
        for name in commands:
            path = self.bin / name
            path.write_text("#!/bin/sh\n"
                            f"export DOUBLE_DIR='{folder}'\n"
                            f"exec '{sys.executable}' -S -E '{HERE}/doubles/batch.py' {system} {name} \"$@\"\n")
            path.chmod(0o755)
        for name in ("aprun", "jsrun"):
            (self.bin / name).symlink_to(HERE / "doubles" / name)
        self.path = f"{self.bin}:{os.environ['PATH']}"

    def fault(self, name: str, value: object = "1") -> None:
        path = self.folder / "faults" / name
        if value is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(str(value))

    def log(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def jobs(self) -> list[dict]:
        found = [json.loads(p.read_text()) for p in (self.folder / "jobs").glob("*.json")]
        return sorted(found, key=lambda j: j["number"])

    def alive(self) -> list[int]:
        """Numbers of the jobs that are queued or still have a process."""
        found = []
        for job in self.jobs():
            over = [self.folder / "jobs" / f"{job['number']}.{end}" for end in ("ec", "cancelled")]
            if job["pid"] and group_is_alive(job["pid"]):
                found.append(job["number"])
            elif not job["pid"] and not any(p.exists() for p in over):
                found.append(job["number"])
        return found

    def run(self, *argv: str) -> subprocess.CompletedProcess:
        return subprocess.run(argv, env=os.environ | {"PATH": self.path}, text=True,
                              capture_output=True, timeout=30)

    def stop(self) -> None:
        for job in self.jobs():
            if job["pid"]:
                try:
                    os.killpg(job["pid"], 9)
                except ProcessLookupError:
                    pass


def group_is_alive(pgid: int) -> bool:
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z" and int(fields[2]) == pgid:
            return True
    return False


class Drive:
    """blocks_drive with settings; what it says is collected."""

    def __init__(self, program: pathlib.Path, dir: pathlib.Path, provider: dict, path: str,
                 env: dict | None = None, **settings):
        self.dir = dir
        dir.mkdir(parents=True, exist_ok=True)
        settings = {"provider": provider, "dir": str(dir), "label": "drive", "poll_s": 0.4,
                    "strategy_period_s": 0.3, "max_idletime_s": 0.5,
                    "command": "sleep 600"} | settings
        file = dir / "settings.json"
        file.write_text(json.dumps(settings))
        self.log = dir / "drive.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [program, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                env=os.environ | {"PATH": path, "USER": "tstu"} | (env or {}))
        self.events: list[dict] = []
        self.queue: queue.Queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.expect("ready")

    def _read(self) -> None:
        for line in self.process.stdout:
            self.queue.put(json.loads(line))
        self.queue.put(None)

    def order(self, text: str) -> None:
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def expect(self, event: str, seconds: float = 30) -> dict:
        """The next event of that name; others are remembered."""
        end = time.monotonic() + seconds
        while True:
            try:
                got = self.queue.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {event} within {seconds} s\n{self.output()}") from None
            assert got is not None, f"blocks_drive has ended\n{self.output()}"
            self.events.append(got)
            if got["event"] == event:
                return got

    def output(self) -> str:
        return self.log.read_text(errors="replace")[-6000:]

    def blocks(self) -> list[dict]:
        self.order("describe")
        return self.expect("blocks")["blocks"]

    def states(self) -> list[str]:
        return [b["state"] for b in self.blocks()]

    def jobs(self) -> dict[str, str]:
        """Names and ids in the list that the next process would cancel."""
        try:
            return json.loads((self.dir / "batch_jobs.json").read_text())["jobs"]
        except FileNotFoundError:
            return {}

    def wait_states(self, wanted: list[str], seconds: float = 30) -> None:
        last: list = []

        def reached():
            last[:] = self.states()
            return last == wanted

        try:
            wait_for(f"states {wanted}", reached, seconds, 0.1)
        except AssertionError as e:
            raise AssertionError(f"{e}; they are {last}\n{self.output()}") from None

    def seen(self, event: str) -> int:
        return sum(e["event"] == event for e in self.events)

    def down(self, seconds: float = 30) -> None:
        self.order("shutdown")
        self.expect("down", seconds)
        assert self.process.wait(10) == 0, self.output()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()
