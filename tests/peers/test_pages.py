"""The pages about differences say what the tests do."""

import pathlib
import re

import pytest
from cells import CELLS
from differences import DIFFERENCES, INTENDED
from scenarios import SCENARIOS
from table import parts_page

HERE = pathlib.Path(__file__).parent
DOCS = HERE.parents[1] / "docs"


def test_page_of_the_parts():
    """SALLYPORT_PEERS_TABLE writes it with the other one."""
    assert (DOCS / "differences-parts.md").read_text() == parts_page()


@pytest.mark.parametrize("entry", INTENDED, ids=lambda e: f"{e.part}: {e.what}")
def test_is_left_out_somewhere(entry):
    call = f'intended("{entry.part}", "{entry.what}")'
    assert any(call in path.read_text() for path in HERE.glob("*.py")), f"nobody calls {call}"


def test_every_scenario_is_a_row_with_an_outcome_in_each_cell():
    page = (DOCS / "compatibility.md").read_text()
    rows = {words[0]: words[1:] for words in (
        [word.strip() for word in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|"))}
    assert rows["scenario"] == CELLS
    for scenario in SCENARIOS:
        if scenario.name not in rows and scenario.needs:
            continue  # what it needs was not there when the page was made
        for cell, word in zip(CELLS, rows.pop(scenario.name)):
            if re.fullmatch(scenario.cells, cell):
                assert re.fullmatch(r"works|differs \(\d+\)", word), f"{scenario.name}: {cell}: {word}"
    assert not rows.keys() - {"scenario", "---"}, "rows without a scenario"


def test_differences_name_scenarios():
    assert {entry.scenario for entry in DIFFERENCES} <= {scenario.name for scenario in SCENARIOS}
