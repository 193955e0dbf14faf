"""The table cell × scenario × outcome, as text and as a page of the documentation."""

from __future__ import annotations

import json
import os
import pathlib
import re

from cells import CELLS, Outcome
from differences import DIFFERENCES, INTENDED, known
from scenarios import SCENARIOS

HEAD = """\
# Beside the Python original: every combination

Made by `SALLYPORT_PEERS_TABLE=docs/compatibility.md ./check --all --only peers`.  Each row
is a scenario of `tests/peers/scenarios.py`, each column a pair of a manager and a user endpoint, ours or
that of `globus-compute-endpoint` 4.19.0 from PyPI, unmodified.  In all of them the SDK is the unmodified
one and the service is ours.  The user endpoint of the other kind is found by `PATH` in the manager's
`user_environment.yaml`.

Releases of the SDK that people still have: 2.3.0 is the first that submits by v3, 2.28.0 and 3.16.1 lie between it
and today's.  A worker's Python may be any from 3.8 on when functions travel as source
(`ComputeSerializer(strategy_code=AllCodeStrategies())`); byte code, which the SDK sends unless told otherwise, needs the
same minor version on both sides, and fails in ways of the interpreter's own elsewhere.  For the original's user
endpoint there is no such row: its workers are of its own environment.  Pairs of the same parts are compared piece by piece, with generated inputs, in the other files of
`tests/peers`; [differences-parts.md](differences-parts.md) lists what they may find.

- **works**: what the user sees is what the scenario expects.
- **differs (n)**: it is something else; the reason is below.
- **–**: there is no such thing.
"""


PARTS = """\
# Beside the Python original: the parts with generated inputs

`tests/peers` gives both the same input, made up by the hundred, and compares what comes out: command lines with
their output, exit code and files (`test_commands.py`), templates and options (`test_render.py`), batch scripts
(`test_batch.py`), result messages (`test_results.py`), heartbeats and what else goes to the broker (`test_wire.py`).
`./check --all` makes ten times as many, others in each run. This is what those comparisons leave out; templates and batch systems
have pages of their own ([templates](differences-templates.md), [batch systems](differences-batch.md)). The page is
`INTENDED` of `tests/peers/differences.py`; `test_pages.py` holds the two together.

| part | what | ours | original |
|---|---|---|---|
"""


def parts_page() -> str:
    return PARTS + "".join(f"| {e.part} | {e.what} | {e.ours} | {e.original} |\n" for e in INTENDED)


class Table:
    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Outcome]] = {}
        self._cells: list[str] = []
        path = pathlib.Path(os.environ.get("SALLYPORT_PEERS_OUTCOMES", ""))
        for line in path.read_text().splitlines() if path.is_file() else []:
            cell, scenario, works, seconds, value = json.loads(line)
            self._put(cell, scenario, Outcome(value, works, seconds))

    def add(self, cell: str, scenario: str, outcome: Outcome) -> None:
        self._put(cell, scenario, outcome)
        if path := os.environ.get("SALLYPORT_PEERS_OUTCOMES"):
            with open(path, "a") as out:
                out.write(json.dumps([cell, scenario, outcome.works, outcome.seconds, outcome.value]) + "\n")

    def _put(self, cell: str, scenario: str, outcome: Outcome) -> None:
        if cell not in self._cells:
            self._cells = [name for name in CELLS if name in (cell, *self._cells)]
        self._rows.setdefault(scenario, {})[cell] = outcome

    def _word(self, cell: str, scenario: str) -> str:
        outcome = self._rows[scenario].get(cell)
        if not outcome:
            found = next(s for s in SCENARIOS if s.name == scenario)
            return "not run" if re.fullmatch(found.cells, cell) else "–"
        if outcome.works:
            return "works"
        entry = known(cell, scenario)
        return f"differs ({DIFFERENCES.index(entry) + 1})" if entry and entry.matches(outcome.value) else "FAILS"

    def _names(self) -> list[str]:
        return [scenario.name for scenario in SCENARIOS if scenario.name in self._rows]

    def text(self) -> str:
        width = max(len(name) for name in self._rows) + 2
        lines = [" " * width + "".join(f"{cell:<24}" for cell in self._cells)]
        for name in self._names():
            words = []
            for cell in self._cells:
                outcome = self._rows[name].get(cell)
                took = f" {outcome.seconds:.1f} s" if outcome else ""
                words.append(f"{self._word(cell, name) + took:<24}")
            lines.append(f"{name:<{width}}" + "".join(words))
        return "\n".join(line.rstrip() for line in lines)

    def page(self) -> str:
        lines = [HEAD, "| scenario | " + " | ".join(self._cells) + " |", "|---" * (len(self._cells) + 1) + "|"]
        for name in self._names():
            lines.append(f"| {name} | " + " | ".join(self._word(cell, name) for cell in self._cells) + " |")
        lines += ["", "## Differences", ""]
        for i, entry in enumerate(DIFFERENCES, 1):
            cells = [cell for cell in self._cells if known(cell, entry.scenario) is entry]
            lines.append(f"{i}. *{entry.scenario}* ({', '.join(cells)}): {entry.reason}")
        return "\n".join(lines) + "\n"
