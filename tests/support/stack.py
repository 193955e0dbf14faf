"""The installed programs as a running system: the service with its broker, and a manager."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
from collections.abc import Mapping

from support.process import Daemon, free_port, wait_for
from support.sdk import client_environment

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
BASE_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Service:
    """`sallyport serve` on a free port."""

    def __init__(self, prefix: pathlib.Path, folder: pathlib.Path, *options: str):
        self.prefix = prefix
        self.folder = folder
        self.port = free_port()
        self._options = options
        self._daemon: Daemon | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._daemon
        return self._daemon.pid

    def start(self) -> Service:
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = [self.prefix / "bin" / "sallyport", "serve", "--data", self.folder / "data",
                "--port", str(self.port), *self._options]
        self._daemon = Daemon(argv, self.folder / "serve.out",
                              {**BASE_ENVIRONMENT, "HOME": str(self.folder)}, self.folder)
        wait_for("service", self._is_ready, 90, 0.1)
        return self

    def _is_ready(self) -> bool:
        assert self._daemon
        self._daemon.check_alive()
        return re.search(r"^ready ", self._daemon.output(), re.M) is not None

    def command(self, *argv: str, stdin: str = "") -> str:
        """`sallyport WORDS… --data DIR`: its output."""
        done = subprocess.run([self.prefix / "bin" / "sallyport", *argv, "--data", self.folder / "data"],
                              input=stdin, capture_output=True, text=True, timeout=30,
                              env={**BASE_ENVIRONMENT, "HOME": str(self.folder)})
        assert done.returncode == 0, f"sallyport {' '.join(argv)}: {done.stdout}{done.stderr}"
        return done.stdout

    def user(self, name: str, password: str = "") -> None:
        self.command("user", "add", name, "--password-stdin", stdin=password or f"secret of {name}")

    def client(self, name: str, user: str | None = None) -> tuple[str, str]:
        """Client id and secret; the client acts as `user`, else as an identity of its own."""
        answer = json.loads(self.command("client", "add", name, "--json", *(["--as", user] if user else [])))
        return answer["client_id"], answer["client_secret"]

    def environment(self, folder: pathlib.Path, client: tuple[str, str] | None) -> dict[str, str]:
        return client_environment(self.url, client, folder)

    def output(self) -> str:
        return self._daemon.output() if self._daemon else ""

    def stop(self) -> None:
        if self._daemon:
            self._daemon.stop()
            self._daemon = None

    def __enter__(self) -> Service:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Manager:
    """`globus-compute-endpoint configure` and `start` of one endpoint, in a folder of its own."""

    def __init__(self, prefix: pathlib.Path, folder: pathlib.Path, environment: Mapping[str, str],
                 name: str = "site"):
        self.prefix = prefix
        self.folder = folder
        self.name = name
        self.environment = {**BASE_ENVIRONMENT, **environment}
        self.base = folder / ".globus_compute"
        self.environment.update(HOME=str(folder), GLOBUS_COMPUTE_USER_DIR=str(self.base))
        self._daemon: Daemon | None = None
        self._said_before = 0  # length of what earlier starts put into the same log

    @property
    def endpoint_folder(self) -> pathlib.Path:
        return self.base / self.name

    def command(self, *argv: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.prefix / "bin" / "globus-compute-endpoint", *argv],
                              env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)

    def configure(self, *options: str) -> None:
        """In the form of the seed unless options say otherwise."""
        self.folder.mkdir(parents=True, exist_ok=True)
        done = self.command("configure", *(options or ("--multi-user",)), self.name)
        assert done.returncode == 0, done.stdout + done.stderr

    def write(self, name: str, content: str | dict | list, mode: int = 0o644) -> pathlib.Path:
        path = self.endpoint_folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
        path.chmod(mode)
        return path

    def map_identities(self, *rules: tuple[str, str]) -> None:
        """(regular expression of the username, local account) each."""
        self.write("example_identity_mapping_config.json", [{
            "DATA_TYPE": "expression_identity_mapping#1.0.0",
            "mappings": [{"source": "{username}", "match": match, "output": output}
                         for match, output in rules],
        }], 0o600)

    def start(self, *options: str) -> str:
        """Runs it until it has registered and listens; the endpoint id."""
        argv = [self.prefix / "bin" / "globus-compute-endpoint", "start", self.name, "--log-to-console",
                *options]
        log = self.folder / f"{self.name}.out"
        self._said_before = len(log.read_text(errors="replace")) if log.exists() else 0
        self._daemon = Daemon(argv, log, self.environment, self.folder)
        match = wait_for("manager", self._begun, 60)
        return match[0]

    def _begun(self) -> re.Match[str] | None:
        assert self._daemon
        self._daemon.check_alive()
        banner = re.search(r"=+ .* begins: (\S+)", self._daemon.output()[self._said_before:])
        return UUID.search(banner[1]) if banner else None

    def log(self) -> str:
        path = self.endpoint_folder / "endpoint.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def output(self) -> str:
        return self._daemon.output() if self._daemon else ""

    @property
    def pid(self) -> int:
        assert self._daemon
        return self._daemon.pid

    def stop(self) -> int | None:
        """The exit status; None when it was not running."""
        if not self._daemon:
            return None
        code = self._daemon.stop(40)
        self._daemon = None
        return code

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
