"""The monitor with a pretended listener, as root, on local accounts that the tests make."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import monitor_harness  # noqa: E402


@pytest.fixture(scope="session")
def top():
    """A folder that every account can reach and only we can write."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-manager-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def tree(top):
    if not monitor_harness.program("monitor").exists():
        pytest.skip("no monitor: SALLYPORT_PREFIX or SALLYPORT_BUILD names a tree that has one")
    return monitor_harness.make_tree(top)


@pytest.fixture
def make_manager(top, tree):
    made = []

    def make(config=monitor_harness.MAPPED, **more):
        made.append(monitor_harness.Manager(top, more.pop("tree", tree), config, **more))
        return made[-1]

    yield make
    for one in made:
        print(one.log())
        one.close()
        assert "Sanitizer" not in one.said(), one.said()


@pytest.fixture
def manager(make_manager):
    return make_manager()


@pytest.fixture(scope="session")
def ada(accounts):
    return accounts.get("ada")


@pytest.fixture(scope="session")
def bob(accounts):
    return accounts.get("bob")


@pytest.fixture
def small_disk(top):
    path = top / "disk"
    path.mkdir()
    options = ["-t", "tmpfs", "-o", "size=4m"]
    if subprocess.run(["mount", *options, "tmpfs", path], capture_output=True).returncode != 0:
        path.rmdir()
        pytest.skip("no file system can be mounted here")
    yield path
    subprocess.run(["umount", "-l", path], check=True)
    path.rmdir()
