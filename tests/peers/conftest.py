"""The table of outcomes: printed at the end, written where SALLYPORT_PEERS_TABLE says."""

import os
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import actions  # noqa: E402
from table import Table, parts_page  # noqa: E402

KEY = pytest.StashKey[Table]()


@pytest.fixture(scope="session")
def table(request):
    config = request.config
    config.stash[KEY] = config.stash.get(KEY, Table())
    yield config.stash[KEY]
    shutil.rmtree(actions.MPI_FOLDER, ignore_errors=True)


def pytest_terminal_summary(terminalreporter, config):
    table = config.stash.get(KEY, None)
    if table:
        terminalreporter.section("manager/user endpoint beside the original")
        terminalreporter.write_line(table.text())
        if path := os.environ.get("SALLYPORT_PEERS_TABLE"):
            pathlib.Path(path).write_text(table.page())
            pathlib.Path(path).with_name("differences-parts.md").write_text(parts_page())
