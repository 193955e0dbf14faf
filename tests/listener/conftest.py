"""The listener alone: service and monitor are pretended, the broker is real."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from doubles import Monitor, Queues, Service  # noqa: E402


@pytest.fixture
def web(rabbit):
    service = Service(rabbit.url)
    yield service
    service.stop()


@pytest.fixture
def queues(web, rabbit):
    return Queues(web, rabbit.connect)


@pytest.fixture
def listen(prefix, web, queues, tmp_path):
    """listen(...) starts a listener; all are stopped at the end."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the listener runs as another account")
    program = prefix / "libexec" / "sallyport" / "listener"
    started = []

    def start(**options):
        folder = tmp_path / f"ep{len(started)}"
        folder.mkdir()
        started.append(Monitor(program, folder, web, **options))
        return started[-1]

    yield start
    for monitor in started:
        code = monitor.stop()
        log = monitor.log()
        assert "Sanitizer" not in log, log
        assert code >= 0, f"ended by signal {-code}\n{log}"
