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


@dataclass(frozen=True)
class Intended:
    """What the comparisons of the parts with generated inputs leave out."""

    part: str
    what: str
    ours: str
    original: str


INTENDED: list[Intended] = [
    Intended("configure", "texts of the default files",
             "our own words; the template has no `requirements`",
             "a template of 120 lines that fetches a package manager from the network in each block"),
    Intended("configure", "quotes of YAML in `config.yaml`", '`"0"`', "`'0'`"),
    Intended("configure", "what fails leaves no directory", "everything is checked before",
             "an endpoint that can't be started, nor configured again"),
    Intended("configure", "an id that is no UUID", "refused", "refused for many users, written for one"),
    Intended("list", "words of warnings", "file, place and what was expected there",
             "the name of an exception of Python"),
    Intended("list", "texttable 1.7.2", "no such library",
             "dies with this release of it; compared with what earlier ones did"),
    Intended("wrong words", "one too many beside a name that is not there", "the wrong usage, exit code 2",
             "the name, exit code 1"),
    Intended("wrong words", "which of two wrong values", "the first by the order in `--help`",
             "the first on the command line"),
    Intended("wrong words", "guesses", "\"Did you mean\" the name that begins alike", "names that are alike, if any"),
    Intended("wrong words", "`.` as a name", "shown as it was typed", "shown as the folder's name"),
    Intended("wrong words", "python-exec", "the usage shows `[ARGS]...`", "it takes them all the same"),
    Intended("results", "half a surrogate pair", "escaped",
             "can't be packed: an error of the endpoint's own takes the place of the result"),
    Intended("results", "bytes of a pickle", "the standard library's where it is enough, else dill's: the same value "
             "comes out", "dill's always"),
    Intended("heartbeats", "node_info", "from the first on", "some time after the first node came"),
]


def intended(part: str, what: str) -> Intended:
    """A comparison says so where it leaves something out; what is not in the list can't be left out."""
    return next(entry for entry in INTENDED if (entry.part, entry.what) == (part, what))
