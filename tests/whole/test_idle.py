"""User endpoints leave by themselves, come back with the next task, and lose none in between; those
that can't start say why."""

import json
import pathlib
import random
import re
import sys

import pytest

from support.process import processes_of, wait_for
from support.sdk import run_script
from support.stack import Manager

# The shortest life there is: five seconds a heartbeat, gone at the first quiet one.
TEMPLATE = """\
engine:
  type: {{ ENGINE|default("GlobusComputeEngine") }}
  max_workers_per_node: 1
  job_status_kwargs: {max_idletime: 1}
  provider: {type: LocalProvider, init_blocks: 0, max_blocks: 1}
endpoint_setup: {{ SETUP|default() }}
display_name: {{ WHO }}
heartbeat_period: 5
idle_heartbeats_soft: 1
idle_heartbeats_hard: 100
"""
SUBMIT = """
    import json, sys, time
    from globus_compute_sdk import Executor

    def which(n):
        import os
        return [n, os.getppid()]

    endpoint, config, pauses = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    with Executor(endpoint_id=endpoint, user_endpoint_config=config) as ex:
        for n, pause in enumerate(pauses):
            time.sleep(pause)
            try:
                print(json.dumps(ex.submit(which, n).result(50)), flush=True)
            except BaseException as e:
                print("FAILED", type(e).__name__, e, flush=True)
"""


@pytest.fixture(scope="module")
def restless(prefix, service, accounts, session_folder):
    folder = session_folder / "restless"
    client = service.client("administrator of the restless site")
    with Manager(prefix, folder, service.environment(folder, client), "restless") as manager:
        manager.configure()
        manager.map_identities((r"ada@example\.org", accounts.get("restless").name))
        manager.write("user_config_template.yaml", TEMPLATE)
        manager.write("user_config_schema.json", {})
        manager.write("user_environment.yaml",
                      f"PATH: {prefix}/bin:{pathlib.Path(sys.executable).parent}:/usr/bin:/bin\n")
        manager.endpoint_id = manager.start()
        yield manager


def submit(environment, site, config, pauses=(0,)):
    ran = run_script(SUBMIT, environment, site.endpoint_id, json.dumps(config), json.dumps(list(pauses)),
                     timeout=240)
    return ran.check().out.splitlines()


def test_gone_when_idle_and_back_with_the_next_task(restless, user, accounts):
    uid = accounts.get("restless").uid
    assert submit(user("ada"), restless, {"WHO": "one"})[0].startswith("[0,")
    assert processes_of(uid)
    wait_for("the idle user endpoint to leave", lambda: not processes_of(uid), 40)
    assert re.search(r"Command stopped normally \(\d+\)", restless.log())
    assert submit(user("ada"), restless, {"WHO": "one"})[0].startswith("[0,")


@pytest.mark.timeout(400)
def test_no_task_is_lost_between_leaving_and_coming(restless, user):
    """Submits at random moments around that of the leaving: 5 to 10 s after the last task."""
    random.seed(42)
    pauses = [0] + [random.uniform(4.5, 10.5) for _ in range(8)]
    said = submit(user("ada"), restless, {"WHO": "race"}, pauses)
    print("\n".join(said))
    assert [json.loads(line)[0] if line.startswith("[") else line for line in said] == list(range(9))


@pytest.mark.parametrize("config, phrase", [
    ({}, "'WHO' is undefined"),
    ({"WHO": "x", "ENGINE": "NoSuchEngine"}, "NoSuchEngine"),
    ({"WHO": "x", "SETUP": "exit 3"}, "78"),
    ({"WHO": "x", "_GC": 1}, "'_GC' is a reserved word"),
])
def test_one_that_cannot_start_says_why(restless, user, config, phrase):
    said = submit(user("ada"), restless, config)[0]
    assert said.startswith("FAILED") and phrase in said, said
    assert submit(user("ada"), restless, {"WHO": "one"})[0].startswith("[0,")
