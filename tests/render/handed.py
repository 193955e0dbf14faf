"""Starts libexec/sallyport/prepare as the session does: the hand-over's descriptors, an account."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import pwd
import struct
import subprocess
from dataclasses import dataclass, field

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
CREDENTIALS, AUDIT, BLOB, TEMPLATE, SCHEMA, ENVIRONMENT, STATUS = range(3, 10)
MAGIC = 0x53506831

TEMPLATE_TEXT = "engine:\n  type: GlobusComputeEngine\nwho: {{ who|default('nobody') }}\n"

# Stands for the user endpoint: writes down all that it was given.
PROBE = r"""#!/usr/bin/python3
import json, os, sys
fds = {}
for name in os.listdir("/proc/self/fd"):
    try:
        fds[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    except FileNotFoundError:
        pass  # the listing's own
lines = open("/proc/self/status").read().splitlines()
status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
seen = {
    "argv": open("/proc/self/cmdline").read().split("\0")[:-1],
    "env": dict(os.environ),
    "fds": fds,
    "stdin": sys.stdin.read(),
    "tty": os.isatty(0),
    "cwd": os.getcwd(),
    "umask": os.umask(0),
    "ids": list(os.getresuid()) + list(os.getresgid()),
    "ppid": os.getppid(),
    "blocked": int(status["SigBlk"], 16),
    "credentials": os.pread(3, 10000, 0).decode(),
    "log_flags": open("/proc/self/fdinfo/1").read(),
}
print("hello log")
out = os.environ["PROBE_OUT"]
open(out + ".tmp", "w").write(json.dumps(seen))
os.rename(out + ".tmp", out)
"""


@dataclass
class Outcome:
    code: int
    stderr: str
    record: tuple[int, str, str] | None  # code, for the user, for the administrator
    seen: dict = field(default_factory=dict)


def memory_file(data: bytes) -> int:
    fd = os.memfd_create("test")
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def text_of(field_bytes: bytes) -> str:
    return field_bytes.split(b"\0")[0].decode(errors="replace")


class Handed:
    """One start request; change its attributes, then run()."""

    def __init__(self, prefix: pathlib.Path, folder: pathlib.Path, account=None):
        self.prefix, self.folder, self.account = prefix, folder, account
        self.bin, self.out = folder / "bin", folder / "out"
        self.bin.mkdir()
        self.bin.chmod(0o755)
        self.out.mkdir()
        self.out.chmod(0o777)
        probe = self.bin / "globus-compute-endpoint"
        probe.write_text(PROBE)
        probe.chmod(0o755)
        self.blob = {
            "name": "uep.1",
            "argv": ["globus-compute-endpoint", "_start-user-endpoint", "uep.1", "--debug"],
            "account": account.name if account else pwd.getpwuid(os.getuid()).pw_name,
            "amqp_creds": {"endpoint_id": "e", "task_queue_info": {"connection_url": "amqp://u:p@h/"}},
            "enckey": KEY,
            "ep_info": {},
            "user_opts": {},
            "user_runtime": {"globus_compute_sdk_version": "4.19.0", "python": {"version": "3.11.7"}},
            "parent_config": {"display_name": "Big Machine"},
            "parent_config_source": "display_name: Big Machine\n",
            "privileged": True,
            "correlation_id": "c0ffee",
        }
        self.raw_blob: bytes | None = None
        self.template: bytes | None = TEMPLATE_TEXT.encode()
        self.schema: bytes | None = None
        self.basic_environment = f"PATH: {self.bin}:/usr/bin:/bin\nPROBE_OUT: {self.out}/seen\n".encode()
        self.environment: bytes | None = self.basic_environment
        self.audit = False
        self.inherited = {"LEFT": "over", "GLOBUS_COMPUTE_CLIENT_SECRET": "s3cret",
                          "PROBE_OUT": f"{self.out}/seen", "PATH": "/usr/bin:/bin"}
        self.prepare = prefix / "libexec/sallyport/prepare"

    def _descriptors(self, status: int) -> dict[int, int]:
        blob = self.raw_blob if self.raw_blob is not None else json.dumps(self.blob).encode()
        contents = {CREDENTIALS: b"token", BLOB: blob, TEMPLATE: self.template,
                    SCHEMA: self.schema, ENVIRONMENT: self.environment}
        plan = {n: memory_file(data) for n, data in contents.items() if data is not None}
        if self.audit:
            reader, plan[AUDIT] = os.pipe()
            os.close(reader)
        plan[STATUS] = status
        return plan

    def _start(self, plan: dict[int, int]) -> subprocess.Popen:
        argv = [str(self.prepare)]
        if self.account:
            argv = ["setpriv", "--reuid", str(self.account.uid), "--regid", str(self.account.gid),
                    "--init-groups", "--", *argv]

        def lay() -> None:
            high = {n: _dup_above(fd) for n, fd in plan.items()}
            for n in range(3, 10):
                if n in high:
                    os.dup2(high[n], n, inheritable=True)
                elif _is_open(n):
                    os.close(n)
            os.closerange(10, 256)

        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, env=self.inherited, close_fds=False,
                                preexec_fn=lay, cwd="/")

    def run(self, seconds: float = 60) -> Outcome:
        status, writer = os.pipe()
        plan = self._descriptors(writer)
        # Where the child reports its errno, Popen has a pipe of its own: keep it out of 3..9.
        spare = [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
        try:
            process = self._start(plan)
        finally:
            for fd in [*plan.values(), *spare]:
                os.close(fd)
        try:
            _, stderr = process.communicate(timeout=seconds)
        finally:
            process.kill()
        data = os.read(status, 8192)
        os.close(status)
        outcome = Outcome(process.returncode, stderr.decode(), None)
        if data:
            magic, code = struct.unpack_from("<Ii", data)
            assert magic == MAGIC
            outcome.record = (code, text_of(data[8:1508]), text_of(data[1508:3008]))
        seen = self.out / "seen"
        if seen.exists():
            outcome.seen = json.loads(seen.read_text())
            seen.unlink()
        return outcome


def _dup_above(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD, 64)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False
