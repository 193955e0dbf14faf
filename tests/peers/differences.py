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
]


def known(cell: str, scenario: str) -> Difference | None:
    for entry in DIFFERENCES:
        if entry.scenario == scenario and re.fullmatch(entry.cells, cell):
            return entry
    return None
