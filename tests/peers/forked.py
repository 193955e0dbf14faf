"""The original's command line, in children of this process that need not import it each time."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence

from differences import intended


@dataclasses.dataclass
class Said:
    code: int
    out: str
    err: str


def as_before_1_7_2() -> None:
    """`list` of 4.19.0 dies with the texttable of today, which keeps no widths; those before it did."""
    from texttable import Texttable

    intended("list", "texttable 1.7.2")
    computed = Texttable._compute_cols_width

    def keep(table):
        if not hasattr(table, "_width"):
            table._width = computed(table)
        return table._width

    Texttable._compute_cols_width = keep


def original(argv: Sequence[str], environment: dict[str, str], cwd: pathlib.Path, seconds: float = 60) -> Said:
    """`globus-compute-endpoint ARGV` as its console script would run it."""
    from globus_compute_endpoint import cli

    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(cwd)
            sys.stdin, sys.stdout, sys.stderr = (open(i, mode, encoding="utf-8", errors="surrogateescape")
                                                 for i, mode in enumerate("rww"))
            as_before_1_7_2()
            sys.modules["__main__"].__package__ = ""  # click makes the program's name of it
            sys.argv = ["globus-compute-endpoint", *argv]
            try:
                cli.cli_run()
                code = 0
            except SystemExit as e:
                code = e.code if isinstance(e.code, int) else 0 if e.code is None else 1
                if isinstance(e.code, str):
                    print(e.code, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError(f"the original has not ended: {argv}")
        time.sleep(0.002)
    texts = []
    for stream in (out, err):
        stream.seek(0)
        texts.append(stream.read().decode(errors="replace"))
        stream.close()
    return Said(os.waitstatus_to_exitcode(status), *texts)


def ours(program: pathlib.Path, argv: Sequence[str], environment: dict[str, str], cwd: pathlib.Path) -> Said:
    done = subprocess.run([program, *argv], stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          env=environment, cwd=cwd)
    return Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
