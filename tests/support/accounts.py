"""Local accounts for tests: named sallyport-WORD-RUN, gone at the end with all that they run."""

from __future__ import annotations

import os
import pathlib
import pwd
import re
import signal
import subprocess
import time
from dataclasses import dataclass

from support.process import processes_of

NAME = re.compile(r"sallyport-[a-z]+-p(\d+)")


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int
    home: pathlib.Path


def why_not() -> str | None:
    """None when accounts can be made here, else the reason."""
    return None if os.geteuid() == 0 else "needs root: local accounts are made"


def _tool(*argv: str) -> None:
    """useradd and its kin lock /etc/passwd and give up at once when another one has it."""
    for pause in (0.2, 0.5, 1, 2, 4, 0):
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode == 0:
            return
        if "lock" not in done.stderr:
            break
        time.sleep(pause)
    raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")


def _remove(name: str) -> list[str]:
    """Ends what the account still runs (and says what that was), then removes it."""
    left = [f"{pid} {line}" for pid, line in processes_of(pwd.getpwnam(name).pw_uid)]
    for entry in left:
        try:
            os.kill(int(entry.split()[0]), signal.SIGKILL)
        except ProcessLookupError:
            pass
    end = time.monotonic() + 5
    while processes_of(pwd.getpwnam(name).pw_uid) and time.monotonic() < end:
        time.sleep(0.05)
    _tool("userdel", "--remove", "--force", name)
    return left


class Accounts:
    """Makes accounts on demand; remove() ends them all."""

    def __init__(self) -> None:
        self._made: dict[str, Account] = {}
        for entry in pwd.getpwall():  # those of a run that was killed
            match = NAME.fullmatch(entry.pw_name)
            if match and not pathlib.Path(f"/proc/{match[1]}").exists():
                _remove(entry.pw_name)

    def get(self, word: str, *options: str) -> Account:
        """The account of this run for a word such as "ada"; options go to useradd."""
        name = f"sallyport-{word}-p{os.getpid()}"
        if name not in self._made:
            _tool("useradd", "--create-home", "--shell", "/bin/bash", "--comment",
                  "Sallyport test account", *options, name)
            entry = pwd.getpwnam(name)
            self._made[name] = Account(name, entry.pw_uid, entry.pw_gid, pathlib.Path(entry.pw_dir))
        return self._made[name]

    def remove(self) -> list[str]:
        """What the accounts were still running: nothing, if the test was clean."""
        left = []
        for name in list(self._made):
            left += _remove(name)
            del self._made[name]
        return left
