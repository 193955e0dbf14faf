"""Releases of the SDK that people still have: the first that submits by v3, and two in between."""

import os
import pathlib
import subprocess

import pytest

import cells
from scenarios import SCENARIOS

RELEASES = ["2.3.0", "2.28.0", "3.16.1"]


@pytest.fixture(scope="module")
def ours(service, prefix, session_folder, accounts):
    made = cells.Cell("ours/ours", service, prefix, session_folder, accounts, "old-")
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture(scope="module", params=RELEASES)
def python(request):
    """The Python of an environment with that release, made when there is none."""
    if request.param != RELEASES[0] and not os.environ.get("SALLYPORT_PEERS_ALL"):
        pytest.skip(cells.LONG)
    tool = pathlib.Path(os.environ.get("SALLYPORT_SOURCE", "."), "tools/install-deps").resolve()
    try:
        done = subprocess.run([tool, "--sdk", request.param], capture_output=True, text=True, timeout=240)
        if done.returncode:
            pytest.skip(f"globus-compute-sdk {request.param} can't be installed here")
    except subprocess.TimeoutExpired:
        pytest.skip(f"globus-compute-sdk {request.param} can't be installed here in time")
    folder = subprocess.run([tool, "--venv", f"sdk-{request.param}"], capture_output=True, text=True,
                            check=True).stdout.strip()
    return pathlib.Path(folder, "bin", "python")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.name in ("one task", "exception", "schema refuses")],
                         ids=lambda s: s.name)
def test_scenario(ours, python, scenario):
    outcome = ours.run(scenario, python)
    assert outcome.works, f"{outcome.value}\n{outcome.detail}"
