"""Leaving: signals, the parent, helpers that die (U28-U30, U40)."""

import os
import signal
import subprocess
import sys
import time

import pytest
from support.process import wait_for
from uep import LOCAL, POOL, Failed


def slow(seconds):
    import time
    time.sleep(seconds)
    return seconds


def pid():
    import os
    return os.getpid(), os.getppid()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_signals(cloud, sig):
    uep = cloud.start()
    cloud.result(cloud.submit(slow, 0))
    assert uep.stop(sig) == 0
    while cloud.beat()["active"]:
        pass
    wait_for("no process left", lambda: not uep.children(), 5)
    assert f"---------- Endpoint shutdown: {cloud.id}" in uep.log()


def test_a_pool_finishes_what_runs(cloud):
    uep = cloud.start(POOL)
    tasks = [cloud.submit(slow, 2) for _ in range(6)]
    time.sleep(1)
    assert uep.stop() == 0
    results = cloud.drain(1)
    assert len(results) == 2 and cloud.ready() == 4
    assert all(r[0]["error_details"] is None for r in results.values())
    assert set(results) < set(tasks)


def test_signal_before_the_broker_answers(cloud):
    uep = cloud.start(POOL, document={"amqp_creds": cloud.creds("amqp://a:b@127.0.0.1:1/")})
    time.sleep(1)
    assert uep.stop() == 0


PARENT = """
import json, os, subprocess, sys, time
document = json.load(sys.stdin)
document["ep_info"]["posix_ppid"] = os.getpid()
p = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)
p.stdin.write(json.dumps(document).encode())
p.stdin.close()
print(p.pid, flush=True)
time.sleep(60)
"""


def orphan(cloud, **more):
    """An endpoint whose parent can be killed: (pid of the endpoint, parent)."""
    import json
    directory = cloud.folder / "compute" / "uep"
    directory.mkdir(parents=True, exist_ok=True)
    document = {"ep_info": {}, "config": POOL, "amqp_creds": cloud.creds(), **more}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, cloud.prefix / "libexec" / "sallyport" / "user-endpoint", "uep"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "HOME": str(cloud.folder),
             "GLOBUS_COMPUTE_USER_DIR": str(cloud.folder / "compute"),
             "GC_WORKER_PYTHON": sys.executable})
    parent.stdin.write(json.dumps(document).encode())
    parent.stdin.close()
    return int(parent.stdout.readline()), parent


def is_alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_parent_death(cloud):
    pid, parent = orphan(cloud)
    assert cloud.beat()["active"]
    parent.kill()
    parent.wait()
    wait_for("the end", lambda: not is_alive(pid), 3)
    while cloud.beat()["active"]:
        pass


def test_it_survives_the_manager_when_told_so(cloud):
    pid, parent = orphan(cloud, survives_manager=True)
    assert cloud.beat()["active"]
    parent.kill()
    parent.wait()
    try:
        assert cloud.result(cloud.submit(slow, 0)) == 0
        assert is_alive(pid)
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_for("the end", lambda: not is_alive(pid), 10)


def test_a_parent_that_is_dead_already(cloud):
    dead = subprocess.Popen(["true"])
    dead.wait()
    uep = cloud.start(POOL, document={"ep_info": {"posix_ppid": dead.pid}})
    assert uep.wait() == 0
    assert f"Pid {dead.pid} not parent; refusing to start" in uep.log()


@pytest.mark.parametrize("which", ["node-agent", "worker.py"])
def test_a_helper_that_is_killed(cloud, which):
    """Its tasks get an error, the next one runs, SIGTERM is obeyed."""
    uep = cloud.start(LOCAL + "idle_heartbeats_soft: 0\n")
    assert cloud.result(cloud.submit(slow, 0)) == 0
    running = cloud.submit(slow, 60)
    time.sleep(0.5)
    for p in uep.children():
        try:
            if which in open(f"/proc/{p}/cmdline").read().replace("node agent", "node-agent"):
                os.kill(p, signal.SIGKILL)
        except OSError:
            pass
    with pytest.raises(Failed, match=r"errors\.(ManagerLost|WorkerLost): Task failure due to loss of"):
        cloud.result(running, 20)
    assert cloud.result(cloud.submit(slow, 0.1), 30) == 0.1
    assert uep.stop() == 0


def test_nothing_outlives_a_killed_endpoint(cloud):
    """kill -9: its agents, workers and tasks on this host go within seconds."""
    uep = cloud.start()
    cloud.result(cloud.submit(slow, 0))
    cloud.submit(slow, 60)
    time.sleep(0.5)
    uep.kill()
    wait_for("no process left", lambda: not uep.children(), 10)
