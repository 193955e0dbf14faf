"""Each scenario with each pair of manager and user endpoint, ours and the Python original.

All of it takes half an hour: without `./check --all` only ours/ours runs nearly whole, the others
run what is central.  SALLYPORT_PEERS_TABLE=FILE writes the table, as docs/compatibility.md has it;
SALLYPORT_PEERS_OUTCOMES=FILE keeps the outcomes, so that a table can be made by several runs.
"""

import re

import pytest

import cells
from differences import known
from scenarios import SCENARIOS
from support.long import ALL, REASON



@pytest.fixture(scope="module", params=cells.CELLS)
def cell(request, service, prefix, session_folder, accounts):
    if reason := cells.why_not(request.param):
        pytest.skip(reason)
    made = cells.Cell(request.param, service, prefix, session_folder, accounts)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.mark.timeout(500)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_scenario(cell, scenario, table):
    if not (ALL or scenario.core or cell.name == "ours/ours" and not scenario.slow):
        pytest.skip(REASON)
    if not re.fullmatch(scenario.cells, cell.name):
        pytest.skip("has no meaning for this pair")
    if reason := scenario.needs and scenario.needs():
        pytest.skip(reason)
    python = None
    if scenario.sdk and not (python := cells.sdk_python(scenario.sdk)):
        pytest.skip(f"globus-compute-sdk {scenario.sdk} can't be installed here in time")
    outcome = cell.run(scenario, python)
    table.add(cell.name, scenario.name, outcome)
    if outcome.works:
        assert not known(cell.name, scenario.name), "works now: take it out of differences.py"
        return
    difference = known(cell.name, scenario.name)
    if difference:
        assert difference.matches(outcome.value), f"{outcome.value}\nnot as listed: {difference}\n{outcome.detail}"
    else:
        pytest.fail(f"{outcome.value}\nwanted: {scenario.expect}\n{outcome.detail}\n"
                    f"--- manager\n{cell.site.manager.log()[-3000:]}")
