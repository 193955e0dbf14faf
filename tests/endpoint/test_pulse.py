"""Heartbeats and the idle rule, with the shortest period there is (U11-U18, U38)."""

import pathlib
import time

from support.process import wait_for
from uep import LOCAL, POOL

PILOT_KEYS = """managers active_managers total_workers idle_workers pending_tasks outstanding_tasks total_tasks
    scaling_enabled mem_per_worker cores_per_worker prefetch_capacity max_workers_per_node max_blocks min_blocks
    nodes_per_block node_info engine_type provider_type queue account""".split()
POOL_KEYS = """total_cores total_mem total_core_hrs total_workers pending_tasks outstanding_tasks scaling_enabled
    max_blocks min_blocks max_workers_per_node nodes_per_block engine_type""".split()
IDENTITY = """posix_ppid posix_username posix_uid posix_gid posix_groups posix_pid posix_sid config_raw start_iso
    start_unix heartbeat_period active""".split()


def sleep(s):
    import time
    time.sleep(s)
    return s


def test_keys_and_times(cloud):
    uep = cloud.start(LOCAL.replace("heartbeat_period: 5", "heartbeat_period: 1"))
    when, data, _ = cloud.beats.get(timeout=10)
    assert list(data) == ["endpoint_id", "global_state", "task_statuses"] and data["task_statuses"] == {}
    state = data["global_state"]
    assert list(state) == PILOT_KEYS + IDENTITY
    assert state["active"] is True and state["heartbeat_period"] == 5.0
    assert state["posix_pid"] == uep.process.pid and state["config_raw"] == uep.document["config"]
    second = cloud.beats.get(timeout=10)[0]
    assert 4.5 < second - when < 6.5
    cloud.result(cloud.submit(sleep, 0))
    state = cloud.beat()
    assert state["managers"] == 1 and state["total_workers"] == 2 and state["total_tasks"] == 1
    [[node]] = state["node_info"].values()
    assert {"worker_count", "idle_duration", "parsl_version", "endpoint_version", "sdk_version",
            "python_version"} == set(node)
    assert uep.stop() == 0
    states = [cloud.beat()]
    while not cloud.beats.empty():
        states.append(cloud.beat())
    assert [s["active"] for s in states][-1] is False


def test_keys_of_a_pool(cloud):
    uep = cloud.start(POOL, document={"ep_info": {"posix_ppid": __import__("os").getpid(),
                                                  "globus_matched_identity": "me"}})
    state = cloud.beat()
    assert set(state) == {*POOL_KEYS, *IDENTITY, "globus_matched_identity"}
    uep.stop()


def title(uep):
    try:
        return open(f"/proc/{uep.process.pid}/cmdline").read()
    except FileNotFoundError:
        return ""


def test_soft(cloud):
    """Leaves on the second quiet heartbeat after its work; not while a task is outstanding."""
    uep = cloud.start(POOL + "idle_heartbeats_soft: 2\n")
    task = cloud.submit(sleep, 12)
    cloud.publish(b"junk", drop=["function_uuid"])  # a poison message does not keep it alive
    cloud.publish(b"junk", drop=["task_uuid"])
    assert cloud.result(task) == 12
    done = time.monotonic()
    seen = set()
    while uep.process.poll() is None and time.monotonic() - done < 30:
        seen.add(title(uep).split("]")[0])
        time.sleep(0.2)
    assert uep.wait() == 0
    assert 9 < time.monotonic() - done < 19
    assert "[idle; shut down in 5s" in seen
    assert "Idle heartbeats reached.  Shutting down." in uep.log()
    assert "In idle state (no task or result movement); shut down in 5s.  (idle_heartbeats_soft)" in uep.log()
    assert cloud.ready() == 0


def test_hard(cloud):
    """Never got a task: S=1, H=2 leaves on quiet heartbeat 3."""
    uep = cloud.start(POOL + "idle_heartbeats_soft: 1\nidle_heartbeats_hard: 2\n")
    assert uep.wait(30) == 0
    assert 14 < time.monotonic() - uep.began < 20
    assert "Shutting down due to idle heartbeats HARD limit." in uep.log()


def test_always_on(cloud):
    uep = cloud.start(POOL)
    cloud.result(cloud.submit(sleep, 0))
    time.sleep(16)
    assert uep.process.poll() is None
    assert "idle" not in title(uep)
    assert uep.stop() == 0


def switches(pid):
    """How often its threads went to sleep."""
    total = 0
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        total += int(status.read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
    return total


def test_idle_wakes_for_the_heartbeat_only(cloud):
    """Between two heartbeats, and with a block that has come and gone."""
    config = LOCAL.replace("heartbeat_period: 5", "heartbeat_period: 300")
    uep = cloud.start(config.replace("provider:", "job_status_kwargs: {max_idletime: 0.5}\n  provider:"))
    cloud.result(cloud.submit(sleep, 0))
    wait_for("no block", lambda: "no block is left" in uep.log())
    wait_for("no child", lambda: not uep.children())
    time.sleep(2)
    before = switches(uep.process.pid)
    time.sleep(12)
    assert switches(uep.process.pid) - before <= 4  # the PID file's age, once in 15 s
    uep.stop()
