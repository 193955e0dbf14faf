"""list, stop and start from another host that shares the home directory.  The other host is a name (a
UTS namespace), and process ids that mean nothing here (a PID namespace): nobody can be signalled."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from support.process import wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"),
                                reason="needs root and unshare(1): a host of another name is made")
OTHER = "login2.example.org"


def elsewhere(program, *argv, environment):
    """The command on the host OTHER."""
    return subprocess.run(["unshare", "--uts", "--pid", "--fork", "sh", "-ec", f'hostname {OTHER}; exec "$@"', "sh",
                           program, *argv], env=environment, capture_output=True, text=True, timeout=90,
                          stdin=subprocess.DEVNULL)


# ---- by the files alone ----

@pytest.fixture
def foreign(ours):
    """An endpoint of OTHER, seen from here: its PID is that of a process of ours, which must live on."""
    bystander = subprocess.Popen(["sleep", "300"])
    folder = ours.endpoint("ep", endpoint_id="5f0c7b1e-5ad4-4e0d-9c55-7a1b64a1d0ff",
                           config="email: a@b\n")
    (folder / "user_config_template.yaml.j2").write_text("engine: {type: GlobusComputeEngine}\n")
    (folder / "daemon.pid").write_text(str(bystander.pid))
    (folder / ".daemon.pid.lock").write_text(OTHER + "\n")
    yield folder
    assert bystander.poll() is None, "a process of this host was ended"
    bystander.send_signal(signal.SIGKILL)
    bystander.wait(10)


def test_list_tells_by_the_age(ours, foreign):
    assert "Running" in ours("list").out
    then = time.time() - 31
    os.utime(foreign / "daemon.pid", (then, then))
    assert "Disconnected" in ours("list").out


def test_stop_asks_by_taking_the_file_away(ours, foreign):
    def owner():
        wait_for("the request", lambda: not (foreign / "daemon.pid").exists(), 30)
        (foreign / ".daemon.pid.lock").unlink()

    thread = threading.Thread(target=owner)
    thread.start()
    said = ours("stop", "ep")
    thread.join(30)
    assert said.code == 0 and f"runs on host {OTHER}; asking it to stop" in said.err
    assert "is now stopped" in said.err


def test_restart_can_not_keep_children_there(ours, foreign):
    said = ours("restart", "ep", "--keep-children")
    assert said.code == 1 and OTHER in said.err and (foreign / "daemon.pid").exists()


def test_second_start_is_refused(ours, foreign):
    said = ours("start", "ep")
    assert said.code == 73 and (foreign / "daemon.pid").exists()
    assert "Another instance of this endpoint is running." in said.err


def test_delete_there(ours, foreign, fake, credentials):
    """A running endpoint is not deleted without --force, wherever it runs."""
    said = ours("delete", "--yes", "ep", **credentials)
    assert said.code != 0 and foreign.exists()


# ---- a real manager here, the commands there ----

def test_stop_of_a_real_manager(manager, prefix):
    manager.configure()
    manager.write("user_config_template.yaml", "engine: {type: GlobusComputeEngine}\n")
    manager.map_identities((r".*@nowhere\.example", "nobody"))
    manager.start()
    folder = manager.endpoint_folder
    assert (folder / ".daemon.pid.lock").read_text().split("\n")[0] == socket.gethostname()
    program = prefix / "bin" / "globus-compute-endpoint"
    done = elsewhere(program, "list", environment=manager.environment)
    assert done.returncode == 0 and "Running" in done.stdout, done
    done = elsewhere(program, "stop", manager.name, environment=manager.environment)
    assert done.returncode == 0 and f"runs on host {socket.gethostname()}; asking" in done.stderr, done
    wait_for("the manager's end", lambda: not (folder / "daemon.pid").exists(), 30)
    done = elsewhere(program, "list", environment=manager.environment)
    assert "Stopped" in done.stdout
    assert manager.stop() == 0
