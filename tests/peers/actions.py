"""What happens to a site while a scenario's script waits, and what scenarios need of the machine."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import sqlite3
import time

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
            script = MPI_FOLDER / "mpiexec"  # no link: it looks for its helper beside itself
            script.write_text(f'#!/bin/sh\nexec {found} "$@"\n')
            script.chmod(0o755)
            return None
    return "MPICH's mpiexec is not installed"


def user_endpoints(cell) -> list[int]:
    """Those that serve user 0; one that is about to leave says so before its name."""
    return [pid for pid, line in processes_of(cell.site.accounts[0].uid)
            if "Globus Compute Endpoint (" in line]


def user_endpoint_killed(cell) -> None:
    """kill -9 of the scenario's user endpoint, with the programs around it left alone."""
    found = set(user_endpoints(cell)) - cell.others
    assert found, f"no user endpoint of this scenario's among {processes_of(cell.site.accounts[0].uid)}"
    cell.killed = True
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    wait_for("end of the user endpoint", lambda: not found & set(user_endpoints(cell)), 30)


ANOTHER = """
from globus_compute_sdk import Executor

def who():
    import getpass
    return getpass.getuser()

with Executor(endpoint_id="<ENDPOINT>") as ex:
    print(ex.submit(who).result(140))
"""


def another_user_works(cell) -> None:
    said = cell.site.script(ANOTHER, user=1).out.split()
    assert said == [cell.site.accounts[1].name], said


def gone_when_idle(cell) -> None:
    begun = set(user_endpoints(cell)) - cell.others
    assert begun, "no user endpoint of this scenario's"
    wait_for("end of the idle user endpoint", lambda: not begun & set(user_endpoints(cell)), 140, 0.5)


def manager_restarted(cell) -> None:
    before = cell.site.endpoint_id
    assert user_endpoints(cell), "no user endpoint"
    cell.site.stop()
    wait_for("end of the user endpoints", lambda: not user_endpoints(cell), 60)
    assert cell.site.start() == before


def broker_restarted(cell) -> None:
    """kill -9 of RabbitMQ; the service starts it again."""
    pids = cell.broker_pids()
    assert pids, "no broker below the service"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for("another broker", lambda: set(cell.broker_pids()) - set(pids), 60, 0.2)


def credentials_revoked(cell) -> None:
    """No user endpoint can open the broker again with what it has; all are thrown out."""
    with contextlib.closing(sqlite3.connect(cell.site.service.folder / "data" / "ledger.db", timeout=30)) as ledger:
        done = ledger.execute("UPDATE principals SET oldest = generation + 1 "
                              "WHERE name IN (SELECT 'ep.' || id FROM ueps)")
        assert done.rowcount > 0
        ledger.commit()
    time.sleep(6)  # the service believes for five seconds what it has read
    broker_restarted(cell)
