"""A private Grid Engine on this machine: one master, one execution host, one queue of four slots.

Everything lies in one folder, the ports are its own; the system's cell is never read.  Needs Debian's
gridengine-master, gridengine-exec and gridengine-client (50 MB, and a mail server by dependency, so
tools/install-deps leaves them out).
"""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess

from support.daemons import Daemons
from support.process import Daemon, free_port, wait_for

LIB = pathlib.Path("/usr/lib/gridengine")
SHARE = pathlib.Path("/usr/share/gridengine")


def why_not() -> str | None:
    """None when it can be started here, else the reason."""
    if os.getuid() != 0:
        return "the Grid Engine of the tests is started by root"
    wanted = ["sge_qmaster", "sge_execd", "sge_shepherd", "spoolinit", "spooldefaults", "qsub", "qstat", "qdel", "qconf"]
    missing = [name for name in wanted if not (LIB / name).exists()]
    if missing or not SHARE.exists():
        return f"not installed: {' '.join(missing) or SHARE} (gridengine-master, gridengine-exec, gridengine-client)"
    return None


class GridEngine(Daemons):
    def __init__(self, folder: pathlib.Path):
        super().__init__()
        self.folder = folder
        self.path = f"{folder}/bin:{os.environ.get('PATH', '/usr/bin:/bin')}"
        self.env = {"SGE_ROOT": str(folder), "SGE_CELL": "default", "SGE_QMASTER_PORT": str(free_port()),
                    "SGE_EXECD_PORT": str(free_port()), "SGE_ND": "1", "PATH": self.path, "LC_ALL": "C"}

    def run(self, *argv: str, check: bool = True, seconds: float = 30) -> str:
        done = subprocess.run(argv, env=os.environ | self.env, text=True, capture_output=True, timeout=seconds)
        assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _write(self) -> None:
        f, common = self.folder, self.folder / "default/common"
        for name in ("default/common", "default/spool/qmaster/job_scripts", "default/spool/exec", "spooldb", "bin"):
            (f / name).mkdir(parents=True)
        for name in ("qsub", "qstat", "qdel"):
            (f / "bin" / name).symlink_to(LIB / name)
        (f / "util").symlink_to(SHARE / "util")
        (common / "bootstrap").write_text(
            "admin_user root\ndefault_domain none\nignore_fqdn true\nspooling_method berkeleydb\n"
            f"spooling_lib libspoolb\nspooling_params {f}/spooldb\nbinary_path {LIB}\n"
            f"qmaster_spool_dir {f}/default/spool/qmaster\nsecurity_mode none\nlistener_threads 2\n"
            "worker_threads 2\nscheduler_threads 1\njvm_threads 0\n")
        (common / "act_qmaster").write_text("localhost\n")
        (common / "cluster_name").write_text("pretend\n")
        (common / "host_aliases").write_text(f"localhost {socket.gethostname()}\n")
        ours = {"execd_spool_dir": f"{f}/default/spool/exec", "min_uid": "0", "min_gid": "0", "mailer": "/bin/true",
                "load_report_time": "00:00:02"}
        lines = []
        for line in (SHARE / "default-configuration").read_text().splitlines():
            key = line.split()[0] if line.split() else ""
            lines.append(f"{key} {ours[key]}" if key in ours else line)
        (f / "configuration").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        self._write()
        self.run(str(LIB / "spoolinit"), "berkeleydb", "libspoolb", str(self.folder / "spooldb"), "init")
        resources = SHARE / "util/resources"
        for what, value in (("configuration", self.folder / "configuration"), ("complexes", resources / "centry"),
                            ("usersets", resources / "usersets"), ("managers", "root"), ("adminhosts", "localhost")):
            self.run(str(LIB / "spooldefaults"), what, str(value))
        self.start_daemon("sge_qmaster")
        wait_for("the master", self._answers, 40)
        self.run(str(LIB / "qconf"), "-as", "localhost")
        self.start_daemon("sge_execd")
        queue = self.run(str(LIB / "qconf"), "-sq")
        for key, value in {"qname": "all.q", "hostlist": "localhost", "slots": "4", "pe_list": "NONE",
                           "load_thresholds": "NONE"}.items():
            queue = "\n".join(f"{key} {value}" if line.split()[:1] == [key] else line for line in queue.splitlines())
        (self.folder / "queue").write_text(queue + "\n")
        self.run(str(LIB / "qconf"), "-Aq", str(self.folder / "queue"))
        self._faster()

    def _faster(self) -> None:
        """The scheduler looks every second, and at once when something changed."""
        scheduler = self.run(str(LIB / "qconf"), "-ssconf")
        for key, value in {"schedule_interval": "0:0:1", "flush_submit_sec": "1", "flush_finish_sec": "1"}.items():
            scheduler = "\n".join(f"{key} {value}" if line.split()[:1] == [key] else line
                                  for line in scheduler.splitlines())
        (self.folder / "scheduler").write_text(scheduler + "\n")
        self.run(str(LIB / "qconf"), "-Msconf", str(self.folder / "scheduler"))

    def start_daemon(self, name: str) -> None:
        self._daemons[name] = Daemon([str(LIB / name)], self.folder / f"{name}.out", env=os.environ | self.env)

    def _answers(self) -> bool:
        try:
            self.run(str(LIB / "qconf"), "-sh", seconds=8)
            return True
        except (AssertionError, subprocess.TimeoutExpired):
            return False

    def stop(self) -> None:
        if "sge_execd" in self._daemons and self._answers():
            for job in self.jobs():
                self.run("qdel", "-f", job, check=False)
            try:
                wait_for("an empty queue", lambda: self.jobs() == {}, 20)
            except AssertionError:
                pass
        super().stop()

    # ---- looking ----

    def jobs(self) -> dict[str, str]:
        """id -> state."""
        lines = self.run("qstat").splitlines()[2:]
        return {w[0]: w[4] for w in (line.split() for line in lines) if len(w) > 4}
