"""What happens to a site while a scenario's script waits, and what scenarios need of the machine."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal

from support.process import processes_of, wait_for

MPI_FOLDER = pathlib.Path("/var/tmp") / f"sallyport-peers-mpi-{os.getpid()}"
MPI_INIT = f"export PBS_NODEFILE={MPI_FOLDER}/nodes PATH={MPI_FOLDER}:$PATH"


def no_hydra() -> str | None:
    """The engines give mpiexec options of MPICH's, which Open MPI's doesn't have."""
    for name in ("mpiexec.hydra", "mpiexec.mpich"):
        if found := shutil.which(name):
            MPI_FOLDER.mkdir(exist_ok=True)
            MPI_FOLDER.chmod(0o755)
            (MPI_FOLDER / "nodes").write_text("localhost\n")
            if not (MPI_FOLDER / "mpiexec").exists():
                (MPI_FOLDER / "mpiexec").symlink_to(found)
            return None
    return "MPICH's mpiexec is not installed"


def user_endpoints(cell) -> list[int]:
    """Those that serve user 0."""
    return [pid for pid, line in processes_of(cell.site.accounts[0].uid)
            if line.startswith("Globus Compute Endpoint (")]


def user_endpoint_killed(cell) -> None:
    """kill -9 of the user endpoints, with the programs around them left alone."""
    found = user_endpoints(cell)
    assert found, f"no user endpoint among {processes_of(cell.site.accounts[0].uid)}"
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    wait_for("end of the user endpoints", lambda: not set(found) & set(user_endpoints(cell)), 30)


def gone_when_idle(cell) -> None:
    begun = set(user_endpoints(cell)) - cell.others
    assert begun, "no user endpoint of this scenario's"
    wait_for("end of the idle user endpoint", lambda: not begun & set(user_endpoints(cell)), 140, 0.5)


def manager_restarted(cell) -> None:
    before = cell.site.endpoint_id
    cell.site.stop()
    assert cell.site.start() == before


def broker_restarted(cell) -> None:
    """kill -9 of RabbitMQ; the service starts it again."""
    pids = cell.broker_pids()
    assert pids, "no broker below the service"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for("another broker", lambda: set(cell.broker_pids()) - set(pids), 60, 0.2)
