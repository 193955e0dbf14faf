"""The manual's three scripts, and who runs what."""

import json
import re
from pathlib import Path

import pytest

from support.process import processes_of
from support.sdk import run_script

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SUBMIT = """
    import json, sys
    from globus_compute_sdk import Executor

    def who(n):
        import getpass, os
        return [getpass.getuser(), os.getuid(), os.environ.get("SITE_SAYS"), os.getcwd(), n]

    endpoint, config = sys.argv[1], json.loads(sys.argv[2])
    with Executor(endpoint_id=endpoint, user_endpoint_config=config) as ex:
        try:
            print(json.dumps(ex.submit(who, 7).result(60)))
        except BaseException as e:
            print("FAILED", type(e).__name__, e)
"""


def submit(environment, site, config):
    return run_script(SUBMIT, environment, site.endpoint_id, json.dumps(config)).check().out


@pytest.mark.parametrize("name, result", [("some_task.py", r"Result: 1\n"), ("account_id.py", r"Result: 1\n"),
                                          ("jitter_double.py", r"(Result: \(\d+, [\d.]+\)\n){100}")])
def test_script(site, user, name, result):
    ran = run_script(EXAMPLES / name, user("ada"), site.endpoint_id).check()
    assert re.fullmatch(result, ran.out), ran.out


def test_runs_as_the_mapped_account(site, user, accounts):
    ada, bob = accounts.get("ada"), accounts.get("bob")
    name, uid, says, folder, n = json.loads(submit(user("ada"), site, {}))
    assert (name, uid, says, n) == (ada.name, ada.uid, "hello", 7)
    assert folder.startswith(str(ada.home))
    assert json.loads(submit(user("bob"), site, {}))[:2] == [bob.name, bob.uid]


def user_endpoints(uid):
    return {pid for pid, line in processes_of(uid) if line.startswith("Globus Compute Endpoint (")}


def test_same_configuration_same_user_endpoint(site, user, accounts):
    uid = accounts.get("ada").uid
    submit(user("ada"), site, {"ACCOUNT_ID": "a", "NODES_PER_BLOCK": 1})
    before = user_endpoints(uid)
    submit(user("ada"), site, {"NODES_PER_BLOCK": 1, "ACCOUNT_ID": "a"})
    assert user_endpoints(uid) == before
    submit(user("ada"), site, {"ACCOUNT_ID": "b", "NODES_PER_BLOCK": 1})
    assert len(user_endpoints(uid)) == len(before) + 1


@pytest.mark.parametrize("who, config, phrase", [
    ("eve", {}, "Identity failed to map to a local user name"),
    ("gone", {}, "Identity mapped to a local user name, but local user does not exist"),
    ("ada", {"NODES_PER_BLOCK": 9}, "9 is greater than the maximum of 4"),
])
def test_refused_within_seconds(site, user, who, config, phrase):
    said = submit(user(who), site, config)
    assert said.startswith("FAILED") and phrase in said, said


def test_an_exception_is_the_users_own(site, user):
    ran = run_script("""
        import sys
        from globus_compute_sdk import Executor

        def fails():
            raise ZeroDivisionError("mine")

        with Executor(endpoint_id=sys.argv[1]) as ex:
            print(repr(ex.submit(fails).exception(60)))
        """, user("ada"), site.endpoint_id).check()
    assert "ZeroDivisionError: mine" in ran.out
