"""The engine option python: which interpreter runs the workers of which user."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = """
engine:
  type: GlobusComputeEngine
  provider: {type: LocalProvider, init_blocks: 0, min_blocks: 0, max_blocks: 1}
  max_workers_per_node: 1
  cores_per_worker: 0.1
  python: %s
heartbeat_period: 5
"""
MAKE = """
import base64, sys, dill
def which():
    return "%d.%d" % __import__("sys").version_info[:2]
items = ["01\\n" + base64.encodebytes(dill.dumps(which)).decode(),
         "00\\n" + base64.encodebytes(dill.dumps(())).decode(),
         "00\\n" + base64.encodebytes(dill.dumps({})).decode()]
print("".join("%d\\n%s" % (len(i), i) for i in items), end="")
"""


def pythons():
    out = subprocess.run([ROOT / "tools" / "pythons"], capture_output=True, text=True)
    return dict(line.split(None, 1) for line in out.stdout.splitlines())


def body_from(python):
    buffer = subprocess.run([python, "-c", MAKE], capture_output=True, text=True, check=True).stdout
    return b"\x01" + json.dumps({"message_type": "task", "data": {
        "task_id": None, "container_id": None, "container": None, "task_buffer": buffer}}).encode()


@pytest.mark.parametrize("table,user,words", [
    ('{"3.9": /a, "3.12": /b}', "3.11.2",
     "runs workers with Python 3.9, 3.12, and you use Python 3.11.2: submit from one of these"),
    ("{3.10: /a}", "3.11.2", "in quotes"),
    ('{"three": /a}', "3.11.2", "'three'"),
    ('{"3.11": 7}', "3.11.2", "names no interpreter for 3.11"),
    ('{"3.11.2": /a}', "3.11.2", "'3.11.2'"),
])
def test_refused_before_anything_is_queued(cloud, table, user, words):
    uep = cloud.start(CONFIG % table, env={"GC_USER_PYTHON_VERSION": user})
    assert uep.wait() == 1
    assert words in cloud.beat()["error"]
    assert not list(uep.dir.glob("submit_scripts/*"))


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.12", "3.13", "3.14"])
def test_each_user_gets_the_python_of_the_table(cloud, version):
    have = pythons()
    if version not in have:
        pytest.skip(f"no Python {version} here: tools/pythons could not get one")
    table = json.dumps({**have, "default": sys.executable})
    cloud.start(CONFIG % table, env={"GC_USER_PYTHON_VERSION": version + ".1",
                                     "GC_WORKER_PYTHON": "/nonexistent"})
    assert cloud.result(cloud.publish(body_from(have[version])), 60) == version
    # Another client of the same user, with another Python: its byte code is refused, not run.
    text = cloud.raw(cloud.publish(body_from(sys.executable)), 60)
    last = text["data"].strip().splitlines()[-1]
    assert f"the Python {version}." in last and "byte code of Python" in last, text["data"]


def test_default_and_a_missing_interpreter(cloud):
    table = json.dumps({"3.7": "/nonexistent/python3", "default": sys.executable})
    mine = "%d.%d" % sys.version_info[:2]
    cloud.start(CONFIG % table, env={"GC_USER_PYTHON_VERSION": mine + ".0"})
    assert cloud.result(cloud.publish(body_from(sys.executable)), 60) == mine


def test_an_interpreter_that_is_not_there(cloud):
    cloud.start(CONFIG % '{"3.11": /nonexistent/python3}', env={"GC_USER_PYTHON_VERSION": "3.11.2"})
    task = cloud.publish(body_from(sys.executable))
    text = cloud.raw(task, 90)["data"]
    assert "/nonexistent/python3 for Python 3.11 (engine option python)" in text
    assert "BadStateException" in text
