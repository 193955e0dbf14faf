"""The monitor as installed, with doubles for its unprivileged neighbours.

The tree holds the real monitor, session and settings; `listener` is listener_double.py, which hands
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
import tempfile
import time
import uuid

import monitor_table as table
import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("SALLYPORT_BUILD", ROOT / "build"))
INSTALLED = os.environ.get("SALLYPORT_PREFIX")
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


def fill(path):
    """All that is left of its file system."""
    with open(path, "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 4096)
        except OSError:
            pass


MAPPED = "multi_user: true\nidentity_mapping_config_path: map.json\n"


def program(name):
    """Where the real one is: of the tree under test, or of a build folder."""
    if INSTALLED:
        return pathlib.Path(INSTALLED) / "libexec" / "sallyport" / name
    folders = {"monitor": "manager/monitor", "settings": "manager/settings", "session": "session"}
    return BUILD / "src" / folders[name] / name


def is_sanitized():
    return b"__asan_init" in program("monitor").read_bytes()


def compile_double(source, target, *options):
    subprocess.run(
        ["cc", "-D_GNU_SOURCE", "-I", ROOT / "src", HERE / source]
        + [ROOT / "src/lib/handover/handover.c", "-o", target, *options],
        check=True,
    )


def make_tree(top, name="prefix"):
    libexec = top / name / "libexec" / "sallyport"
    libexec.mkdir(parents=True)
    for part in ("monitor", "settings", "session"):
        shutil.copy(program(part), libexec / part)
    shutil.copy(HERE / "listener_double.py", libexec / "listener")
    (libexec / "listener").chmod(0o755)
    compile_double("probe.c", libexec / "prepare")
    os.link(libexec / "prepare", libexec / "endpoint-double")
    return top / name


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
        try:
            sock, _ = self.control.accept()
        except TimeoutError:
            raise AssertionError(f"no listener: {self.said()}\n{self.log()}") from None
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
        # An answer to anything shows that it has been taken in.
        c.send(table.start("nobody", "sync", type_=table.REFRESH), [table.sealed(b"x")])
        c.expect(table.REFRESHED)
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
