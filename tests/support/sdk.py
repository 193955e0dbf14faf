"""Scripts that use the unmodified SDK, each in a process of its own with nothing but its environment."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str
    seconds: float

    def check(self) -> Ran:
        assert self.code == 0, f"exit code {self.code}\n{self.out}\n{self.err[-6000:]}"
        return self


def client_environment(url: str, client: tuple[str, str] | None, folder: pathlib.Path) -> dict[str, str]:
    """Recipe B of the documentation: any port; `folder` takes the place of ~/.globus_compute."""
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "GLOBUS_SDK_ENVIRONMENT": "local",
        "GLOBUS_SDK_SERVICE_URL_AUTH": "http://localhost:5000/",
        "http_proxy": url,
        "GLOBUS_COMPUTE_USER_DIR": str(folder / ".globus_compute"),
    }
    if client:
        environment["GLOBUS_COMPUTE_CLIENT_ID"], environment["GLOBUS_COMPUTE_CLIENT_SECRET"] = client
    return environment


def run_script(script: str | pathlib.Path, environment: Mapping[str, str], *argv: str,
               timeout: float = 90, python: str = sys.executable) -> Ran:
    """Runs a file, or a text (indented ones are fine)."""
    words = [str(script)] if isinstance(script, pathlib.Path) else ["-c", textwrap.dedent(script)]
    begin = time.monotonic()
    done = subprocess.run([python, *words, *argv], env=dict(environment), timeout=timeout,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)
