"""The units of systemd: are they units, are the figures in the document theirs, and do both programs
live with what the units leave them."""

import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

from support.process import Daemon, free_port, wait_for
from support.stack import BASE_ENVIRONMENT, Manager

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "operating.md"
UNITS = ("globus-compute-endpoint@.service", "sallyport.service")


@pytest.fixture
def unit(prefix, folder):
    """An installed unit under a name that systemd-analyze takes.  Its programs are where the tree is
    now, which need not be where it was built for (DESTDIR)."""
    def get(name):
        source = prefix / "lib" / "systemd" / "system" / name
        if not source.exists():
            pytest.skip(f"{source} is not installed")
        copy = folder / name.replace("@", "@site")
        copy.write_text(re.sub(r"^(Exec\w+=)\S+/(?=bin/)", rf"\1{prefix}/", source.read_text(), flags=re.M))
        return copy
    return get


def analyze(*argv):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *argv], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", UNITS)
def test_verify(unit, name):
    done = analyze("verify", "--man=no", unit(name))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", UNITS)
def test_figure(unit, name):
    version = re.search(r"systemd (\d+)", analyze("--version").stdout)[1]
    documented = re.search(rf"\| `{re.escape(name)}` \| ([\d.]+) \|", DOCUMENT.read_text())
    assert documented, f"{DOCUMENT.name} has no figure for {name}"
    if version != "252":
        pytest.skip(f"the figures are those of systemd 252; this is {version}")
    done = analyze("security", "--offline=true", unit(name))
    assert re.search(r"exposure level for .*: ([\d.]+) ", done.stdout)[1] == documented[1]


def confined(path, *argv):
    """The command with the bounding set of a unit, and no_new_privs if the unit says so."""
    text = pathlib.Path(path).read_text()
    kept = re.findall(r"^CapabilityBoundingSet=(.*)$", text, re.M)
    names = [word.lower().removeprefix("cap_") for line in kept for word in line.split()]
    more = ["--no-new-privs"] if re.search(r"^NoNewPrivileges=yes", text, re.M) else []
    return ["setpriv", "--bounding-set", ",".join(["-all", *(f"+{n}" for n in names)]), *more, *argv]


class Listener:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.path.chmod(0o666)
        self.said = []

    def has(self, word):
        self.socket.setblocking(False)
        try:
            while True:
                self.said += self.socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return word in self.said

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@pytest.fixture
def notify(folder):
    with Listener(folder) as listener:
        yield listener


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: capabilities are taken away")
def test_service(prefix, folder, unit, notify, accounts):
    account = accounts.get("service")
    data = folder / "data"
    data.mkdir()
    os.chown(data, account.uid, account.gid)
    daemon = Daemon(
        confined(unit("sallyport.service"), "--reuid", str(account.uid), "--regid", str(account.gid),
                 "--clear-groups", prefix / "bin" / "sallyport", "serve", "--data", data, "--port", str(free_port())),
        folder / "out", {**BASE_ENVIRONMENT, "NOTIFY_SOCKET": str(notify.path), "HOME": str(data)}, data)
    try:
        wait_for("READY=1", lambda: daemon.check_alive() or notify.has("READY=1"), 90)
        assert re.search(r"^ready http", daemon.output(), re.M)
        assert not notify.has("STOPPING=1")
    finally:
        code = daemon.stop(60)
    assert code == 0, daemon.output()
    assert notify.has("STOPPING=1")


class Unit(Manager):
    """A manager as its unit starts it."""

    def __init__(self, unit, *more):
        super().__init__(*more)
        self.unit = unit

    def start(self):
        argv = confined(self.unit, self.prefix / "bin" / "globus-compute-endpoint", "start", self.name,
                        "--log-to-console")
        self._daemon = Daemon(argv, self.folder / "out", self.environment, self.folder)
        return wait_for("manager", self._begun, 60)[0]


RUN_ONE = """
    import sys, os
    from globus_compute_sdk import Executor

    with Executor(endpoint_id=sys.argv[1], user_endpoint_config={}) as ex:
        print(ex.submit(os.getuid).result(60))
"""
TEMPLATE = """
engine:
  type: GlobusComputeEngine
  max_workers_per_node: 1
  provider: {type: LocalProvider, min_blocks: 0, max_blocks: 1, init_blocks: 0}
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: tasks run as other accounts")
def test_manager(prefix, folder, unit, notify, service, accounts):
    from support.sdk import run_script

    account = accounts.get("unit")
    service.user("unit@example.org")
    environment = service.environment(folder, service.client(f"unit {folder.name}"))
    manager = Unit(unit("globus-compute-endpoint@.service"), prefix, folder / "site",
                   {**environment, "NOTIFY_SOCKET": str(notify.path)})
    with manager:
        manager.configure()
        manager.map_identities((r"unit@example\.org", account.name))
        manager.write("user_config_template.yaml", TEMPLATE)
        manager.write("user_environment.yaml", f"PATH: {prefix}/bin:/usr/bin:/bin\n")
        endpoint = manager.start()
        wait_for("READY=1", lambda: notify.has("READY=1"), 10)
        wait_for("status", lambda: notify.has(f"STATUS=Endpoint {endpoint}, user endpoints: 0"), 10)
        client = service.client(f"scripts {folder.name}", "unit@example.org")
        (folder / "sdk").mkdir()
        ran = run_script(RUN_ONE, service.environment(folder / "sdk", client), endpoint).check()
        assert ran.out.strip() == str(account.uid)
        wait_for("status", lambda: notify.has(f"STATUS=Endpoint {endpoint}, user endpoints: 1"), 10)
        assert not notify.has("STOPPING=1")
        assert manager.stop() == 0
        assert notify.has("STOPPING=1")
