"""A private Slurm cluster on this machine: munge, controller, several nodes, accounting on request.

All daemons listen on 127.0.0.1 with ports of their own, their files lie in one folder; the system's
configuration is never read.  Needs Debian's slurmctld, slurmd, slurm-client and munge, and slurmdbd
and mariadb-server for accounting.
"""

from __future__ import annotations

import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess

from support.daemons import Daemons
from support.process import Daemon, free_port, wait_for

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
CPUS = 2


def why_not(accounting: bool = False) -> str | None:
    """None when a cluster can be started here, else the reason."""
    if os.getuid() != 0:
        return "the Slurm cluster of the tests is started by root"
    wanted = ["munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel"]
    wanted += ["slurmdbd", "mariadbd", "mariadb-install-db", "sacctmgr"] if accounting else []
    missing = [name for name in wanted if not shutil.which(name, path=PATH)]
    if missing:
        return f"not installed: {' '.join(missing)}"
    try:
        address = socket.gethostbyname(socket.gethostname())
    except OSError:
        address = "no address"
    if not address.startswith("127."):
        return f"the machine's name means {address}, and Slurm's daemons would listen there"
    return None


class SlurmCluster(Daemons):
    def __init__(self, folder: pathlib.Path, nodes: int = 3, accounting: bool = False):
        super().__init__()
        self.folder, self.accounting = folder, accounting
        self.nodes = [f"node{i + 1}" for i in range(nodes)]
        self.env = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH, "LC_ALL": "C"}
        self._host = socket.gethostname().split(".")[0]
        self._ports = {name: free_port() for name in ["ctld", "dbd", "sql", *self.nodes]}

    # ---- files ----

    def _write(self) -> None:
        f, ports = self.folder, self._ports
        for name in ["log", "run", "state", "munge/private", "db", *[f"spool/{n}" for n in self.nodes]]:
            (f / name).mkdir(parents=True)
        for name in ["munge/private", "state", "db"]:
            (f / name).chmod(0o700)
        (f / "munge/private/key").write_bytes(secrets.token_bytes(128))
        (f / "munge/private/key").chmod(0o600)
        storage = "none"
        if self.accounting:
            storage = "slurmdbd"
            (f / "slurmdbd.conf").write_text(f"""
AuthType=auth/munge
AuthInfo=socket={f}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports['dbd']}
SlurmUser=root
LogFile={f}/log/slurmdbd.log
PidFile={f}/run/slurmdbd.pid
CommunicationParameters=NoInAddrAny
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports['sql']}
StorageUser=slurm
StoragePass=slurm
StorageLoc=accounting
""")
            (f / "slurmdbd.conf").chmod(0o600)
        lines = f"""
ClusterName=pretend
SlurmctldHost={self._host}(127.0.0.1)
SlurmctldPort={ports['ctld']}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={f}/munge/socket
StateSaveLocation={f}/state
SlurmdSpoolDir={f}/spool/%n
SlurmctldPidFile={f}/run/slurmctld.pid
SlurmdPidFile={f}/run/slurmd-%n.pid
SlurmctldLogFile={f}/log/slurmctld.log
SlurmdLogFile={f}/log/slurmd-%n.log
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MinJobAge=300
MessageTimeout=8
PropagateResourceLimits=NONE
AccountingStorageType=accounting_storage/{storage}
"""
        if self.accounting:
            lines += (f"AccountingStorageHost=127.0.0.1\nAccountingStoragePort={ports['dbd']}\n"
                      f"AccountingStoragePass={f}/munge/socket\n")
        for name in self.nodes:
            lines += (f"NodeName={name} NodeHostname={self._host} NodeAddr=127.0.0.1 "
                      f"Port={ports[name]} CPUs={CPUS} Boards=1 SocketsPerBoard=1 "
                      f"CoresPerSocket={CPUS} ThreadsPerCore=1 RealMemory=1000\n")
        lines += (f"PartitionName=debug Nodes={','.join(self.nodes)} Default=YES "
                  "MaxTime=INFINITE State=UP\n")
        (f / "slurm.conf").write_text(lines)
        (f / "cgroup.conf").write_text("CgroupPlugin=autodetect\n")

    # ---- daemons ----

    def _spawn(self, name: str, *argv: str) -> None:
        self._daemons[name] = Daemon(argv, self.folder / "log" / f"{name}.out",
                                     env=os.environ | self.env)

    def run(self, *argv: str, check: bool = True, seconds: float = 30) -> str:
        done = subprocess.run(argv, env=os.environ | self.env, text=True, capture_output=True,
                              timeout=seconds)
        assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stderr}"
        return done.stdout

    def _answers(self, *argv: str) -> bool:
        try:
            self.run(*argv, seconds=8)
            return True
        except (AssertionError, subprocess.TimeoutExpired):
            return False

    def _start_accounting(self) -> None:
        f, sock = self.folder, self.folder / "db" / "socket"
        self.run("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={f}/db",
                 "--auth-root-authentication-method=normal", "--skip-test-db", seconds=90)
        self._spawn("mariadbd", "mariadbd", "--no-defaults", "--user=root", f"--datadir={f}/db",
                    "--bind-address=127.0.0.1", f"--port={self._ports['sql']}", f"--socket={sock}",
                    f"--pid-file={f}/run/mariadbd.pid", "--innodb-buffer-pool-size=32M",
                    "--innodb-lock-wait-timeout=900", "--skip-log-bin")
        sql = ("mariadb", "--no-defaults", "-uroot", "-S", str(sock), "-e")
        wait_for("mariadbd", lambda: self._answers(*sql, "select 1"), 60)
        self.run(*sql, "create database accounting; create user 'slurm'@'127.0.0.1' identified by "
                       "'slurm'; create user 'slurm'@'localhost' identified by 'slurm'; grant all on "
                       "accounting.* to 'slurm'@'127.0.0.1'; grant all on accounting.* to "
                       "'slurm'@'localhost'")
        self.start_database()
        wait_for("slurmdbd", lambda: self._answers("sacctmgr", "-n", "list", "cluster"), 60)
        for order in ("cluster pretend", "account testing Description=t Organization=t",
                      "user root DefaultAccount=testing AdminLevel=Admin"):
            self.run("sacctmgr", "-i", "add", *order.split(), check=False)

    def start_database(self) -> None:
        self._spawn("slurmdbd", "slurmdbd", "-D", "-s")

    def start_controller(self) -> None:
        self._spawn("slurmctld", "slurmctld", "-D", "-f", self.env["SLURM_CONF"])

    def start_node(self, name: str) -> None:
        self._spawn(name, "slurmd", "-D", "-f", self.env["SLURM_CONF"], "-N", name)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write()
        munge = self.folder / "munge"
        self._spawn("munged", "munged", "--foreground", f"--key-file={munge}/private/key",
                    f"--socket={munge}/socket", f"--pid-file={self.folder}/run/munged.pid",
                    f"--seed-file={munge}/private/seed", f"--log-file={self.folder}/log/munged.log",
                    "--num-threads=2")
        wait_for("munged", lambda: (munge / "socket").exists(), 20)
        if self.accounting:
            self._start_accounting()
        self.start_controller()
        for name in self.nodes:
            self.start_node(name)
        wait_for("idle nodes", self.all_idle, 60)

    def all_idle(self) -> bool:
        try:
            text = self.run("sinfo", "-h", "-N", "-t", "idle", "-o", "%N", seconds=8, check=False)
        except subprocess.TimeoutExpired:
            return False
        return len(text.split()) == len(self.nodes)

    def stop(self) -> None:
        if "slurmctld" in self._daemons and self._daemons["slurmctld"].is_alive():
            self.thaw("slurmctld")
            if ids := self.run("squeue", "-h", "-o", "%A", check=False).split():
                self.run("scancel", *ids, check=False)
                try:
                    wait_for("an empty queue", lambda: not self.run("squeue", "-h", check=False), 15)
                except AssertionError:
                    pass
        super().stop()
        self._end_steps()

    def _end_steps(self) -> None:
        """Steps outlive a killed slurmd; ours carry our SLURM_CONF."""
        mark = f"SLURM_CONF={self.env['SLURM_CONF']}".encode()
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "comm").read_text() == "slurmstepd\n" \
                        and mark in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue

    # ---- faults ----

    def end(self, name: str) -> None:
        """Orderly: a controller saves what it knows."""
        self._daemons[name].stop(20)

    def freeze(self, name: str) -> None:
        os.kill(self._daemons[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        os.kill(self._daemons[name].pid, signal.SIGCONT)

    # ---- looking ----

    def queue(self) -> dict[str, tuple[str, str]]:
        """id -> (state, name) of the jobs that have not ended."""
        lines = self.run("squeue", "-h", "-o", "%A %t %j").splitlines()
        return {w[0]: (w[1], w[2]) for w in (line.split(None, 2) for line in lines)}

    def queue_is(self, number: int) -> bool:
        return len([s for s, _ in self.queue().values() if s != "CG"]) == number
