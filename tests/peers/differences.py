"""Where an outcome is not the one that scenarios.py expects, and why that is right or can't be helped."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    cells: str  # regular expression of manager/user endpoint
    scenario: str
    outcome: str  # regular expression that the outcome holds
    reason: str

    def matches(self, value: object) -> bool:
        return re.search(self.outcome, str(value), re.S) is not None


DIFFERENCES: list[Difference] = [
    Difference(
        ".*/original", "exceptions of every kind", r"handling also threw an exception: PydanticSerializationError",
        "The text of an exception that holds half a surrogate pair is lost: the original can't pack it and "
        "reports an error of its own. Ours sends it with the half escaped."),
    Difference(
        ".*/original", "a worker that ends: SystemExit, os._exit, SIGSEGV", r"^(.*WorkerLost){5}.* 3\]$",
        "`SystemExit`, `KeyboardInterrupt` and other exceptions beside `Exception` end a worker of the original, "
        "and the user learns half a minute later that it was lost. Ours reports the exception with its "
        "traceback and goes on with the same worker."),
    Difference(
        ".*/original", "user endpoint killed with tasks waiting", r"^\[9, \[.*'nothing'.*\]\]$",
        "The original acknowledges a task when it arrives: what a killed user endpoint had taken is lost, and "
        "its futures wait for ever. Ours acknowledges it when the broker has its result; the next user "
        "endpoint runs it."),
]


def known(cell: str, scenario: str) -> Difference | None:
    for entry in DIFFERENCES:
        if entry.scenario == scenario and re.fullmatch(entry.cells, cell):
            return entry
    return None
