"""What user endpoints of either kind write to the broker, key by key."""

import json
import logging
import os
import pathlib
import subprocess
import sys
import time

import pytest

import cells

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "endpoint"))
logging.getLogger("pika").setLevel(logging.CRITICAL)

from differences import intended  # noqa: E402
from uep import Cloud  # noqa: E402

CONFIG = """
engine:
  type: GlobusComputeEngine
  address: 127.0.0.1
  max_workers_per_node: 2
  cores_per_worker: 0.1
  provider: {type: LocalProvider, init_blocks: 1, min_blocks: 0, max_blocks: 1}
heartbeat_period: 5
"""


def good(x):
    return [x, "\u00e9"]


def none():
    return None


def fails():
    raise ZeroDivisionError("mine")


def unpicklable():
    return (i for i in range(3))


def too_large():
    return "x" * (11 << 20)


def nap(seconds):
    import time

    time.sleep(seconds)


TASKS = {"good": (good, 1), "none": (none,), "fails": (fails,), "unpicklable": (unpicklable,),
         "too large": (too_large,)}


def shape(value):
    """Keys and types; what a key means is the same, its text and number are not."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return "number" if type(value) in (int, float) else type(value).__name__


def properties(p):
    """Of a message, without what differs each time."""
    return {"content_type": p.content_type, "content_encoding": p.content_encoding,
            "delivery_mode": p.delivery_mode, "headers": sorted(p.headers or {})}


def records(prefix, rabbit, folder):
    """Starts that user endpoint, gives it the tasks, ends it; what came."""
    cloud = Cloud(prefix, rabbit.url, folder)
    home = folder / "compute" / "uep"
    home.mkdir(parents=True)
    document = {"ep_info": {"posix_ppid": os.getpid()}, "config": CONFIG, "amqp_creds": cloud.creds()}
    with open(folder / "out", "ab") as out:
        process = subprocess.Popen(
            [prefix / "bin" / "globus-compute-endpoint", "-c", folder / "compute", "_start-user-endpoint", "uep"],
            stdin=subprocess.PIPE, stdout=out, stderr=out, cwd=folder, start_new_session=True,
            env={"HOME": str(folder), "LANG": "C.UTF-8",
                 "PATH": f"{prefix}/bin:{pathlib.Path(sys.executable).parent}:/usr/bin:/bin"})
    try:
        process.stdin.write(json.dumps(document).encode())
        process.stdin.close()
        results = {}
        cloud.beats.get(timeout=150)
        for name, (function, *args) in TASKS.items():
            sent = cloud.submit(function, *args)
            while True:
                _, result, kept = cloud.results.get(timeout=150)
                if result["task_id"] == sent:
                    break
            results[name] = (result, properties(kept))
        _, at_work, kept = cloud.beats.get(timeout=30)
        states = states_of(cloud)
        process.terminate()
        last = at_work
        end = time.monotonic() + 60
        while last["global_state"]["active"] and time.monotonic() < end:
            last = cloud.beats.get(timeout=60)[1]
        status = process.wait(60)
        return {"states": states, "beat": at_work, "beat properties": properties(kept), "last": last, "results": results,
                "status": status, "serializer": cloud.serializer}
    except Exception:
        print((folder / "out").read_text(errors="replace")[-4000:])
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        cloud.close()


def states_of(cloud):
    """What heartbeats say with two tasks on workers and three waiting, and when all are done."""
    for _ in range(5):
        cloud.submit(nap, 11)
    end = time.monotonic() + 150
    found = []
    for wanted in (5, 0):
        while True:
            state = cloud.beats.get(timeout=60)[1]["global_state"]
            # All counts are of one moment in ours; the original's workers may be a moment behind.
            if state["outstanding_tasks"] == wanted and state["idle_workers"] == (0 if wanted else 2):
                break
            assert time.monotonic() < end, state
        found.append(state)
    return found


@pytest.fixture(scope="module")
def both(prefix, rabbit, session_folder):
    if reason := cells.why_not("original"):
        pytest.skip(reason)
    made = {}
    for name, where in (("ours", prefix), ("original", cells.ORIGINAL)):
        folder = session_folder / f"wire-{name}"
        folder.mkdir()
        made[name] = records(where, rabbit, folder)
    return made["ours"], made["original"]


@pytest.mark.timeout(500)
def test_heartbeats(both):
    ours, theirs = both
    for key in ("beat", "last"):
        mine, his = ours[key], theirs[key]
        assert shape({**mine, "global_state": 0}) == shape({**his, "global_state": 0})
        missing = his["global_state"].keys() - mine["global_state"].keys()
        assert not missing, f"heartbeat without {missing}"
        # Its keys are numbers of jobs, and the original fills it some time after the first manager came.
        intended("heartbeats", "node_info")
        his["global_state"]["node_info"] = mine["global_state"]["node_info"]
        state = {k: v for k, v in mine["global_state"].items() if k in his["global_state"]}
        assert shape(state) == shape(his["global_state"])
    assert ours["beat properties"] == theirs["beat properties"]
    for kind in both:
        assert kind["beat"]["global_state"]["active"] and not kind["last"]["global_state"]["active"]
    assert ours["status"] == theirs["status"] == 0


# What differs by nature: who and when it is; node_info is in test_heartbeats.
OWN = {"node_info", "start_iso", "start_unix", "posix_pid", "posix_sid"}


@pytest.mark.parametrize("moment", [0, 1], ids=["two at work, three wait", "all done"])
def test_heartbeats_follow_the_work(both, moment):
    mine, his = (kind["states"][moment] for kind in both)
    assert {k: v for k, v in mine.items() if k in his.keys() - OWN} == {
        k: v for k, v in his.items() if k not in OWN}


@pytest.mark.parametrize("name", TASKS)
def test_result(both, name):
    (mine, my_properties), (his, his_properties) = (kind["results"][name] for kind in both)
    # Transitions are as many as steps that somebody saw.
    steps = [{(s["actor"], s["state"]) for s in r.pop("task_statuses")} for r in (mine, his)]
    assert steps[1] <= steps[0]
    assert my_properties == his_properties
    missing = (his.get("details") or {}).keys() - (mine.get("details") or {}).keys()
    assert not missing, f"details without {missing}"
    mine["details"] = {k: v for k, v in (mine.get("details") or {}).items() if k in his["details"]}
    assert shape(mine) == shape(his)
    if mine["error_details"]:
        assert mine["error_details"]["code"] == his["error_details"]["code"]
        assert last_line(mine["data"]) == last_line(his["data"])
    else:
        assert mine["data"] == his["data"]


def last_line(text):
    return [line for line in text.splitlines() if line.strip(" +-")][-1]
