"""A private PostgreSQL: own port, own data, thrown away; the system's is never touched."""

from __future__ import annotations

import os
import pathlib
import pwd
import signal
import subprocess

from support.process import Daemon, free_port, wait_for

PROGRAMS = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), default=pathlib.Path("/nonexistent"))
ACCOUNTS = ("postgres", "nobody")  # it refuses to run as root


def why_not() -> str | None:
    return None if (PROGRAMS / "initdb").exists() else "PostgreSQL is not installed"


class Postgres:
    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.port = free_port()
        self._daemon: Daemon | None = None
        self._account = next(a for a in ACCOUNTS if _exists(a)) if os.geteuid() == 0 else None

    def _as(self) -> list[str]:
        return ["setpriv", f"--reuid={self._account}", f"--regid={pwd.getpwnam(self._account).pw_gid}",
                "--clear-groups", "--"] if self._account else []

    def url(self, database: str = "postgres") -> str:
        user = self._account or pwd.getpwuid(os.geteuid()).pw_name
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> Postgres:
        data = self.folder / "pg"
        if not data.exists():
            data.mkdir(parents=True, mode=0o700)
            if self._account:
                os.chown(data, pwd.getpwnam(self._account).pw_uid, -1)
            subprocess.run([*self._as(), PROGRAMS / "initdb", "-D", data, "-A", "trust", "--no-sync", "-E", "UTF8",
                            "--locale=C"], check=True, capture_output=True, timeout=120, cwd="/")
        self._daemon = Daemon(
            [*self._as(), PROGRAMS / "postgres", "-D", data, "-p", str(self.port), "-h", "127.0.0.1", "-k", "",
             "-c", "fsync=off", "-c", "shared_buffers=32MB", "-c", "max_connections=60"],
            self.folder / "postgres.out", {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}, "/")
        wait_for("PostgreSQL", self._answers, 60)
        return self

    def _answers(self) -> bool:
        assert self._daemon
        self._daemon.check_alive()
        return subprocess.run([PROGRAMS / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)],
                              timeout=20).returncode == 0

    def sql(self, text: str, database: str = "postgres") -> str:
        return subprocess.run([PROGRAMS / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", self.url(database), "-c", text],
                              check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    def database(self, name: str) -> str:
        """A new one; its URL."""
        self.sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def crash(self) -> None:
        """kill -9 of all of it; start() recovers from the log."""
        assert self._daemon
        os.killpg(self._daemon.pid, signal.SIGKILL)
        self._daemon.process.wait(20)

    def stop(self) -> None:
        if self._daemon:
            if self._daemon.is_alive():
                self._daemon.process.send_signal(signal.SIGQUIT)
            self._daemon.stop(10)
            self._daemon = None

    def __enter__(self) -> Postgres:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _exists(account: str) -> bool:
    try:
        pwd.getpwnam(account)
    except KeyError:
        return False
    return True
