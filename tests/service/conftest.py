"""The service with a stand-in for sign-in; managers and user endpoints are pretended."""

import os
import pathlib
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from service_rig import Service, online, sdk_client, wait_until, why_not  # noqa: E402


@pytest.fixture(autouse=True)
def environment_stays():
    """sdk_client() names its service there, as a proxy too: the next test must not go through it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def new_service():
    if reason := why_not():
        pytest.skip(reason)
    folder = tempfile.TemporaryDirectory(prefix="sallyport-service-")
    os.chmod(folder.name, 0o711)
    options = []
    if url := os.environ.get("SALLYPORT_TEST_POSTGRES"):
        options = ["--store", fresh_database(url, pathlib.Path(folder.name).name)]
    return folder, Service(folder.name, *options)


def fresh_database(url, name):
    import subprocess
    name = name.replace("-", "_")
    subprocess.run(["psql", "-q", url, "-c", f'CREATE DATABASE "{name}"'], check=True)
    return url.rsplit("/", 1)[0] + "/" + name


@pytest.fixture(scope="session")
def service():
    folder, s = new_service()
    yield s
    s.stop()
    folder.cleanup()


@pytest.fixture
def own_service():
    """One that a test may kill."""
    folder, s = new_service()
    yield s
    s.stop()
    folder.cleanup()


@pytest.fixture
def place():
    """A folder for a service that a test starts in its own way."""
    if reason := why_not():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="sallyport-service-", dir="/var/tmp") as name:
        os.chmod(name, 0o711)
        yield pathlib.Path(name)


@pytest.fixture
def site(service):
    """make_site(...): a registered manager that starts user endpoints."""
    from site_ import Manager
    managers = []

    def make(user="alice", on_start=None, of=None, period=30, **fields):
        answer = (of or service).register(user, **fields)
        assert answer.status_code == 200, answer.text
        managers.append(Manager(answer.json(), on_start, period))
        wait_until(lambda: online(of or service, managers[-1].id, user))
        return managers[-1]

    yield make
    for m in managers:
        if m.is_alive():
            m.leave()


@pytest.fixture
def client(service):
    """client("alice"): the unmodified SDK, which reaches the service through http_proxy (the form
    with absolute targets)."""
    return lambda user="alice", of=None: sdk_client(of or service, user)
