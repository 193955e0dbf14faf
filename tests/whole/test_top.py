"""top: the user endpoints of every mapped account, as the administrator sees them."""

import json

from support.process import wait_for
from support.sdk import run_script

RUN_ONE = """
    import sys
    from globus_compute_sdk import Executor

    with Executor(endpoint_id=sys.argv[1], user_endpoint_config={}) as ex:
        print(ex.submit(abs, -7).result(60))
"""


def top(site):
    done = site.command("top", site.name, "--json")
    assert done.returncode == 0, done.stderr
    (endpoint,) = json.loads(done.stdout)["endpoints"]
    return endpoint


def test_top(site, user, accounts):
    for name in ("ada", "bob"):
        run_script(RUN_ONE, user(name), site.endpoint_id).check()
    seen = top(site)
    assert (seen["name"], seen["id"], seen["status"]) == (site.name, site.endpoint_id, "Running")
    of_user = {u["user"]: u for u in seen["user_endpoints"]}
    for name in ("ada", "bob"):
        account = accounts.get(name)
        status = of_user[account.name]["status"]
        assert of_user[account.name]["uid"] == account.uid
        assert status["phase"] == "running" and status["pid"] == of_user[account.name]["pid"]
        assert status["endpoint_id"] == of_user[account.name]["id"]

    def confirmed():
        return all(u["status"]["tasks"]["confirmed_total"] >= 1 for u in top(site)["user_endpoints"])

    wait_for("results in the totals", confirmed, 10)
    text = site.command("top", site.name, "--once").stdout
    assert accounts.get("ada").name[:14] in text and "USER ENDPOINT" in text
    listed = json.loads(site.command("list", "--json").stdout)
    assert listed[0]["user_endpoints"] == len(seen["user_endpoints"])
