"""The same command to the original (of the environment that runs the tests) and to ours."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from support.fake_service import FakeService

sys.path.append(str(pathlib.Path(__file__).parent))

ORIGINAL = pathlib.Path(sys.executable).parent / "globus-compute-endpoint"


@dataclasses.dataclass
class Said:
    code: int
    out: str
    err: str


class Program:
    """A command line with a base directory of its own, whose path is shown as BASE."""

    def __init__(self, path, base, url):
        self.path = path
        self.base = base
        self.environment = {
            "PATH": f"{path.parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(base.parent), "LANG": "C.UTF-8", "COLUMNS": "120",
            "GLOBUS_COMPUTE_USER_DIR": str(base), "GLOBUS_SDK_ENVIRONMENT": "local",
            "GLOBUS_SDK_SERVICE_URL_AUTH": "http://localhost:5000/", "http_proxy": url,
        }

    def __call__(self, *argv, stdin="", timeout=60, **environment):
        done = subprocess.run([self.path, *argv], input=stdin, capture_output=True, text=True,
                              timeout=timeout, env={**self.environment, **environment},
                              cwd=self.base.parent)
        return Said(done.returncode, self.shown(done.stdout), self.shown(done.stderr))

    def shown(self, text):
        return text.replace(str(self.base), "BASE").replace(str(self.path), "PROGRAM")

    def endpoint(self, name="ep", endpoint_id=None, config="display_name: null\n", pid_age=None):
        """An endpoint directory, as configure and start leave it."""
        folder = self.base / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(config)
        if endpoint_id:
            (folder / "endpoint.json").write_text(json.dumps({"endpoint_id": endpoint_id}))
        if pid_age is not None:
            (folder / "daemon.pid").write_text("999999999")
            then = (folder / "daemon.pid").stat().st_mtime - pid_age
            os.utime(folder / "daemon.pid", (then, then))
        return folder


@pytest.fixture
def fake():
    with FakeService() as running:
        yield running


@pytest.fixture
def ours(prefix, folder, fake):
    (folder / "ours").mkdir()
    return Program(prefix / "bin" / "globus-compute-endpoint", folder / "ours" / "base", fake.url)


@pytest.fixture
def original(folder, fake):
    if not ORIGINAL.exists():
        pytest.skip("the original globus-compute-endpoint is not in the environment of the tests")
    (folder / "original").mkdir()
    return Program(ORIGINAL, folder / "original" / "base", fake.url)


@pytest.fixture
def both(ours, original):
    """Asks both, checks that they agree, gives our answer."""

    def ask(*argv, same=("code", "out", "err"), **more):
        us, them = ours(*argv, **more), original(*argv, **more)
        for field in same:
            mine, theirs = getattr(us, field), getattr(them, field)
            if isinstance(mine, str):
                mine, theirs = plain(mine), plain(theirs)
            assert mine == theirs, f"{' '.join(argv)}: {field}: ours, then the original's:\n{us}\n{them}"
        return us

    return ask


def plain(text):
    """Without the prefix of log lines that are no INFO, and the line breaks that only one makes."""
    text = re.sub(r"^(\x1b\[[0-9;]*m)?\d{4}-\d\d-\d\d [\d:,.]+ (\w+) \S+ \S+ \S+ \S+ ", r"\2 ", text,
                  flags=re.M)
    return re.sub(r"\s+", " ", text).strip()


@pytest.fixture
def credentials():
    return {"GLOBUS_COMPUTE_CLIENT_ID": "0a1b2c3d-0000-4000-8000-000000000001",
            "GLOBUS_COMPUTE_CLIENT_SECRET": "a-secret"}


@pytest.fixture(scope="session")
def unit_folder():
    """A private /etc/systemd/system: how to run a command that sees it."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare(1): a private /etc/systemd/system is mounted")

    def run(script, environment):
        return subprocess.run(
            ["unshare", "--mount", "/bin/sh", "-ec",
             "mkdir -p /etc/systemd/system; mount -t tmpfs -o mode=755 none /etc/systemd/system; " + script],
            env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    return run
