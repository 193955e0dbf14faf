"""Child programs that don't outlive the test, and waiting with a deadline."""

from __future__ import annotations

import os
import pathlib
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody has just now, below those that outgoing connections get:
    another process's would take it before our program does."""
    for _ in range(200):
        port = random.randrange(12000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def wait_for(what: str, probe: Callable[[], T | None], seconds: float = 30, pause: float = 0.05) -> T:
    """The first true answer of probe(); after `seconds` an AssertionError that names `what`."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(pause)
        pause = min(pause * 1.2, 0.5)


class Daemon:
    """A program in the background, in a session of its own, its output in a file."""

    def __init__(self, argv: Sequence[str | os.PathLike[str]], log: pathlib.Path,
                 env: Mapping[str, str] | None = None, cwd: str | os.PathLike[str] | None = None):
        self.argv = [os.fspath(a) for a in argv]
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, env=env, cwd=cwd,
                                            start_new_session=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def check_alive(self) -> None:
        code = self.process.poll()
        assert code is None, f"{self.argv[0]} has ended ({code}):\n{self.output()[-4000:]}"

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM, then SIGKILL for the whole session group; the exit status of the program."""
        if self.is_alive():
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.process.wait(10)


def processes_of(uid: int) -> list[tuple[int, str]]:
    """(pid, command line) of every living process of the uid."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if entry.stat().st_uid != uid or "\nState:\tZ" in (entry / "status").read_text():
                continue
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        found.append((int(entry.name), b" ".join(words).decode(errors="replace").strip()))
    return found
