"""The four pairs of a manager and a user endpoint, and how a scenario runs on one of them."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass

import actions
from scenarios import PREAMBLE, SCHEMA, TEMPLATE, Phrase, Scenario
from support.process import processes_of, wait_for
from support.site import Site

PYTHON = pathlib.Path(sys.executable)
ORIGINAL = PYTHON.parent.parent  # the environment that runs the tests holds the Python original
CELLS = ["ours/ours", "original/ours", "ours/original", "original/original"]


def why_not(cell: str) -> str | None:
    if "original" in cell and not (ORIGINAL / "bin" / "globus-compute-endpoint").exists():
        return "the Python original is not in the environment that runs the tests"
    return None


def sdk_python(release: str) -> pathlib.Path | None:
    """The Python of an environment with that release of the SDK, made when there is none."""
    tool = pathlib.Path(os.environ.get("SALLYPORT_SOURCE", "."), "tools/install-deps").resolve()
    try:
        if subprocess.run([tool, "--sdk", release], capture_output=True, timeout=240).returncode:
            return None
    except subprocess.TimeoutExpired:
        return None
    folder = subprocess.run([tool, "--venv", f"sdk-{release}"], capture_output=True, text=True,
                            check=True).stdout.strip()
    return pathlib.Path(folder, "bin", "python")


@dataclass
class Outcome:
    value: object
    works: bool
    seconds: float
    detail: str = ""


class Cell:
    """A running site of that pair; users 0 and 1 have accounts."""

    def __init__(self, name: str, service, prefix: pathlib.Path, folder: pathlib.Path, accounts, label: str = ""):
        """A second one of that name in a session needs a label."""
        self.name = name
        manager, user_endpoint = name.split("/")
        prefixes = {"ours": prefix, "original": ORIGINAL}
        folder = folder / (label + name.replace("/", "-"))
        self.site = Site(service, prefixes[manager], folder, accounts, PYTHON, TEMPLATE, SCHEMA,
                         ["ada", "bob"], [prefixes[user_endpoint] / "bin", ORIGINAL / "bin"],
                         [("gone-.*@example\\.org", "sallyport-nobody-has-this-name")])
        self.others: set[int] = set()  # user endpoints of scenarios before this one
        self.killed = False
        self._users: dict[str, int] = {}

    def start(self) -> Cell:
        self.site.start()
        return self

    def stop(self) -> None:
        """Nothing is left behind but by the original: what stood below one that was killed."""
        self.site.stop()
        for account in self.site.accounts:
            def gone(uid: int = account.uid, number: int = 0) -> bool:
                left = processes_of(uid)
                for pid, _ in left if number else []:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                return not left

            if self.name.endswith("/ours") or not self.killed:
                wait_for(f"end of all that {account.name} ran", gone, 30)
            wait_for(f"end of what {account.name}'s killed user endpoint left", lambda: gone(number=signal.SIGKILL), 30)

    def broker_pids(self) -> list[int]:
        """RabbitMQ's machines below the service."""
        parents, found = {}, []
        for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                name, rest = entry.read_text().rsplit(")", 1)
            except (FileNotFoundError, ProcessLookupError):
                continue
            pid, name = name.split(" (", 1)
            parents[int(pid)] = int(rest.split()[1])
            if name == "beam.smp":
                found.append(int(pid))

        def is_below(pid: int) -> bool:
            while pid > 1:
                if pid == self.site.service.pid:
                    return True
                pid = parents.get(pid, 0)
            return False

        return [pid for pid in found if is_below(pid)]

    def _user(self, user: int | str) -> int:
        if isinstance(user, int):
            return user
        if user not in self._users:
            # Cells share the service, and each adds its own.
            self._users[user] = self.site.add_user(user.replace("@", f"-{self.site.folder.name}@"))
        return self._users[user]

    def run(self, scenario: Scenario, python: pathlib.Path | None = None, timeout: float = 400) -> Outcome:
        note = self.site.folder / "sdk-note"
        note.unlink(missing_ok=True)
        self.others = set(actions.user_endpoints(self))
        failures: list[str] = []
        done = threading.Event()

        def meanwhile() -> None:
            while not note.exists():
                if done.wait(0.05):
                    return
            try:
                scenario.during(self)
            except Exception as e:  # shown with the outcome
                failures.append(f"{type(e).__name__}: {e}")
            note.unlink()

        helper = threading.Thread(target=meanwhile) if scenario.during else None
        if helper:
            helper.start()
        begin = time.monotonic()
        try:
            ran = self.site.run(PREAMBLE + textwrap.dedent(scenario.script), self._user(scenario.user), timeout, python,
                                CONFIG=json.dumps(scenario.config), NOTE=note)
            text = ran.out + ran.err[-3000:]
            lines = re.findall(r"^OUTCOME (.*)$", ran.out, re.M)
            value = json.loads(lines[-1]) if lines else f"no outcome, exit code {ran.code}"
        except subprocess.TimeoutExpired as e:
            value, text = f"nothing within {timeout:.0f} s", str(e.output)
        finally:
            done.set()
            if helper:
                helper.join(200)
        if failures:
            value = failures[0]
        return Outcome(value, self._is_expected(scenario, value), time.monotonic() - begin, text)

    def _is_expected(self, scenario: Scenario, value: object) -> bool:
        if isinstance(scenario.expect, Phrase):
            return scenario.expect.text in str(value)
        expect = json.dumps(scenario.expect)
        if isinstance(scenario.user, int):
            account = self.site.accounts[scenario.user]
            for key, word in {"ACCOUNT": account.name, "HOME": str(account.home)}.items():
                expect = expect.replace(f"<{key}>", word)
            expect = expect.replace('"<UID>"', str(account.uid))
        return json.loads(expect) == value
