"""A program on a terminal of its own."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence


def on_a_terminal(argv: Sequence[str | os.PathLike[str]], environment: Mapping[str, str], seconds: float = 60) -> str:
    """What it prints there, until its end."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                          env=dict(environment)) as process:
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:  # how Linux tells that the other side is closed
            pass
        os.close(ours)
        process.wait(seconds)
    return text.decode()
