"""The monitor as installed, with doubles for its unprivileged neighbours.

`prefix` holds the real monitor, session and settings; `listener` is listener_double.py, which hands
everything to the test; `prepare` is probe.c, which is the user endpoint as well.
"""

import ast
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

import table  # noqa: E402

BUILD = pathlib.Path(os.environ.get("SALLYPORT_BUILD", ROOT / "build"))
ACCOUNTS = ["sallyport-t1", "sallyport-t2"]
is_root = os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="real accounts need root")


def wait_until(what, seconds=10, every=0.01):
    end = time.monotonic() + seconds
    while True:
        result = what()
        if result:
            return result
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(every)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_ready(pid, signo=15):
    """The pretend user endpoint has settled what it does with the signal."""

    def settled():
        with open(f"/proc/{pid}/status") as f:
            fields = dict(line.split(":", 1) for line in f)
        return (int(fields["SigCgt"], 16) | int(fields["SigIgn"], 16)) >> (signo - 1) & 1

    wait_until(settled)


def accounts_remove():
    for name in ACCOUNTS:
        if subprocess.run(["id", name], capture_output=True).returncode == 0:
            subprocess.run(["userdel", "-r", name], capture_output=True)


@pytest.fixture(scope="session")
def accounts():
    if not is_root:
        pytest.skip("real accounts need root")
    accounts_remove()
    for name in ACCOUNTS:
        subprocess.run(["useradd", "-m", "-s", "/bin/sh", "-c", "Sallyport test", name], check=True)
    yield [pwd.getpwnam(name) for name in ACCOUNTS]
    accounts_remove()


@pytest.fixture(scope="session")
def top():
    """A folder that every account can reach and only we can write."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-manager-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def prefix(top):
    libexec = top / "prefix" / "libexec" / "sallyport"
    libexec.mkdir(parents=True)
    for folder, name in (
        ("src/manager/monitor", "monitor"),
        ("src/manager/settings", "settings"),
        ("src/session", "session"),
    ):
        shutil.copy(BUILD / folder / name, libexec / name)
    shutil.copy(HERE / "listener_double.py", libexec / "listener")
    (libexec / "listener").chmod(0o755)
    subprocess.run(
        ["cc", "-D_GNU_SOURCE", "-I", ROOT / "src", HERE / "probe.c"]
        + [ROOT / "src/lib/handover/handover.c", "-o", libexec / "prepare"],
        check=True,
    )
    return top / "prefix"


class Connection:
    """One life of the listener."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(15)
        self.self = ast.literal_eval(sock.recv(65536).decode())
        self.pid = self.self["pid"]

    def send(self, packet, fds=()):
        table.send(self.sock, packet, fds)

    def receive(self):
        packet, fds = table.receive_raw(self.sock)
        return table.Message(packet, fds) if packet else None

    def expect(self, *types):
        """The next message of one of these types; others are dropped."""
        while True:
            message = self.receive()
            assert message, f"the monitor closed the socket; waited for {types}"
            if message.type in types:
                return message
            for fd in message.fds:
                os.close(fd)

    def start(self, user, name, request=1, blob="", token=b"token", **more):
        fds = [table.sealed(token), table.sealed(blob.encode() or b"\n")]
        self.send(table.start(user, name, request=request, **more), fds)
        for fd in fds:
            os.close(fd)

    def started(self, user, name, **more):
        self.start(user, name, **more)
        answer = self.expect(table.STARTED, table.RUNNING, table.FAILED)
        assert answer.type == table.STARTED, vars(answer)
        return answer

    def failed(self, user, name, **more):
        self.start(user, name, **more)
        answer = self.expect(table.STARTED, table.RUNNING, table.FAILED)
        assert answer.type == table.FAILED, vars(answer)
        return answer

    def is_ended(self):
        """The monitor ended this listener."""
        try:
            while True:
                packet, fds = table.receive_raw(self.sock)
                for fd in fds:
                    os.close(fd)
                if not packet:
                    return True
        except (ConnectionError, socket.timeout) as e:
            return isinstance(e, ConnectionError)


class Manager:
    def __init__(self, top, prefix, config="", user=None, argv=(), wrapper=()):
        self.prefix = prefix
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ep-", dir=top))
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="work-", dir=top))
        self.work.chmod(0o777)
        self.id = str(uuid.uuid4())
        self.argv, self.wrapper, self.user = list(argv), list(wrapper), user
        self.process = None
        self.connections = []
        (self.dir / "config.yaml").write_text(config)
        (self.dir / "map.json").write_text("[]")
        (self.dir / "user_config_template.yaml.j2").write_text("engine: {}\n")
        (self.dir / "user_config_schema.json").write_text("{}\n")
        if user:
            for path in [self.dir, *self.dir.iterdir()]:
                shutil.chown(path, user)
        control = prefix / "libexec" / "sallyport" / "control.sock"
        control.unlink(missing_ok=True)
        self.control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.bind(str(control))
        control.chmod(0o777)
        self.control.listen(16)
        self.control.settimeout(15)

    def spawn(self, *argv, env=None):
        program = self.prefix / "libexec" / "sallyport" / "monitor"
        command = [*self.wrapper, program, "--dir", self.dir, *self.argv, *argv]
        self.output = open(self.dir / "output", "w+")
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.output,
            env=env or {"PATH": "/usr/bin:/bin", "SECRET": "x", "http_proxy": "http://proxy:1"},
            user=self.user,
            group=self.user and pwd.getpwnam(self.user).pw_gid,
            extra_groups=[] if self.user else None,
            start_new_session=True,
        )
        return self

    def accept(self):
        sock, _ = self.control.accept()
        connection = Connection(sock)
        self.connections.append(connection)
        return connection

    def begin(self, *argv, **more):
        """A registered endpoint; its listener."""
        self.spawn(*argv, **more)
        return self.register()

    def register(self):
        c = self.accept()
        c.hello = c.expect(table.HELLO)
        c.files = {}
        for _ in range(5):
            message = c.expect(table.FILE)
            c.files[message.file] = message.read() if message.fds else None
        c.send(table.registered(self.id))
        wait_until(lambda: (self.dir / "daemon.pid").exists())
        return c

    def log(self):
        path = self.dir / "endpoint.log"
        return path.read_text() if path.exists() else ""

    def said(self):
        return (self.dir / "output").read_text()

    def wait_log(self, text, seconds=10):
        wait_until(lambda: text in self.log(), seconds)

    def probe(self, name):
        """What probe.c wrote of itself."""
        path = self.work / name
        wait_until(path.exists)
        seen = {"env": [], "fd": {}, "status": {}}
        for line in path.read_text().splitlines():
            key, _, rest = line.partition(" ")
            if key == "env":
                seen["env"].append(rest)
            elif key == "fd":
                number, target, mode = re.match(r"(\d+) (.*) (\d)$", rest).groups()
                seen["fd"][int(number)] = (target, int(mode))
            elif key == "status":
                field, _, value = rest.partition(":")
                seen["status"][field] = value.strip()
            else:
                seen[key] = rest
        return seen

    def blob(self, name, act="exec", mode="sleep"):
        return f"out={self.work / name}\nact={act}\nmode={mode}\n"

    def stop(self, signo=signal.SIGTERM, seconds=25):
        self.process.send_signal(signo)
        return self.process.wait(seconds)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            for c in self.connections:
                c.sock.close()
            try:
                self.process.wait(25)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for c in self.connections:
            c.sock.close()
        self.control.close()


MAPPED = "multi_user: true\nidentity_mapping_config_path: map.json\n"


@pytest.fixture
def make_manager(top, prefix):
    made = []

    def make(config=MAPPED, **more):
        made.append(Manager(top, prefix, config, **more))
        return made[-1]

    yield make
    for manager in made:
        log = manager.log()
        manager.close()
        if "Sanitizer" in manager.said():
            print(manager.said())
        assert "Sanitizer" not in manager.said()
        print(log)


@pytest.fixture
def manager(make_manager):
    return make_manager()
