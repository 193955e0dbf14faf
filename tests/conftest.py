"""Fixtures that every folder of system tests can use; see support/ for what they give."""

import os
import pathlib
import shutil
import tempfile

import pytest

from support import accounts as account_support
from support import rabbit as rabbit_support
from support.accounts import Accounts
from support.rabbit import RabbitNode
from support.stack import Manager, Service


@pytest.fixture(scope="session")
def prefix():
    """The installed tree under test: $SALLYPORT_PREFIX (./check sets it)."""
    path = pathlib.Path(os.environ.get("SALLYPORT_PREFIX") or "/nonexistent")
    if not (path / "bin" / "globus-compute-endpoint").exists():
        pytest.skip("SALLYPORT_PREFIX does not name an installed tree")
    return path


@pytest.fixture
def folder():
    """A folder that every local account can look into (pytest's own are private to root)."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-test-", dir="/var/tmp"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def session_folder():
    path = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-test-", dir="/var/tmp"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def accounts():
    """Makes local accounts; what they still run at the end is an error."""
    if reason := account_support.why_not():
        pytest.skip(reason)
    made = Accounts()
    yield made
    left = made.remove()
    assert not left, "left running by test accounts: " + "; ".join(left)


@pytest.fixture(scope="session")
def rabbit(session_folder):
    """A broker that all tests of the session share; names of queues and users must be their own."""
    if reason := rabbit_support.why_not():
        pytest.skip(reason)
    with RabbitNode(session_folder / "rabbit") as node:
        yield node


@pytest.fixture(scope="session")
def service(prefix, session_folder):
    """`sallyport serve` with a private broker, shared by the session."""
    if not (prefix / "bin" / "sallyport").exists():
        pytest.skip("bin/sallyport is not installed")
    if reason := rabbit_support.why_not():
        pytest.skip(reason)
    with Service(prefix, session_folder / "service") as running:
        yield running


@pytest.fixture
def manager(prefix, service, folder):
    """A manager of the service above, not yet configured; stopped at the end."""
    client = service.client(f"manager {folder.name}")
    with Manager(prefix, folder, service.environment(folder, client)) as part:
        yield part
