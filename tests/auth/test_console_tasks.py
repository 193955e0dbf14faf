"""The console's tasks: one that ran through the real chain, and one that failed, with their time line."""

import os
import pathlib
import sys

import pytest

from support.browser import Browser, why_not
from support.process import wait_for
from support.sdk import run_script
from support.signin import PASSWORD
from support.stack import Manager

from auth.console import sign_in

RUN = """
import sys
from globus_compute_sdk import Executor

def doubles(x):
    if x < 0:
        raise ValueError("<b>below nothing</b>")
    return 2 * x

with Executor(endpoint_id=sys.argv[1]) as executor:
    print(executor.submit(doubles, 21).result(90))
    print(type(executor.submit(doubles, -1).exception(90)).__name__)
"""

CONFIG = """
engine:
  type: GlobusComputeEngine
  max_workers_per_node: 1
  provider:
    type: LocalProvider
    init_blocks: 1
    max_blocks: 1
"""


def seen(page, text, seconds=60):
    wait_for(repr(text), lambda: text in page.text or None, seconds, 0.3)


def test_tasks_from_submit_to_result(site, prefix, accounts, folder):
    """A multi-user endpoint of ours runs them as a mapped account; the console shows it, live."""
    if reason := why_not():
        pytest.skip(reason)
    account = accounts.get("alice").name
    site.command("user", "add", "owner@example.org", "--password-stdin", stdin=PASSWORD + "\n")
    owner = site.environment(folder / "owner", site.client("site", "owner@example.org"))
    user = site.environment(folder / "user", site.client("runner", "alice@example.org"))
    with Manager(prefix, folder / "site", owner) as manager, Browser(1100, 1000) as page:
        manager.configure()
        manager.map_identities((r"alice@example\.org", account))
        manager.write("user_config_template.yaml", CONFIG)
        manager.write("user_environment.yaml",
                      f"PATH: {prefix}/bin:{pathlib.Path(sys.executable).parent}:/usr/bin:/bin\n")
        endpoint = manager.start()
        sign_in(page, site, "alice@example.org")
        page.go(site.url + "/web/#/tasks")
        seen(page, "My tasks")
        ran = run_script(RUN, user, endpoint, timeout=200).check()
        assert ran.out.split()[0] == "42" and "TaskExecutionFailed" in ran.out
        seen(page, "doubles")
        seen(page, "failed")  # by itself: nobody reloads
        page.go(site.url + "/web/#/tasks?status=failed")
        seen(page, "doubles")
        page.run("document.querySelector('td a').click()")
        seen(page, "From submit to result")
        seen(page, "<b>below nothing</b>")
        for step in ("accepted", "function starts", "function ends", "result kept"):
            assert step in page.text, page.text
        page.go(site.url + "/web/#/endpoints")
        seen(page, "online")
        # Its owner sees who runs there, not what; another user sees nothing; an administrator sees as whom.
        sign_in(page, site, "owner@example.org")
        seen(page, "runner")
        page.go(site.url + "/web/#/tasks")
        seen(page, "No tasks.")
        sign_in(page, site, "eve@example.org")
        page.go(f"{site.url}/web/#/endpoint/{endpoint}")
        seen(page, "There is none of that id")
        sign_in(page, site, "root@example.org")
        page.go(site.url + "/web/#/people")
        seen(page, account)
        seen(page, "runner (alice@example.org)")
        if shots := os.environ.get("SALLYPORT_SHOTS"):
            page.screenshot(pathlib.Path(shots) / "console-people.png")
            page.go(site.url + "/web/#/tasks")
            seen(page, "All tasks")
            page.run("document.querySelector('td a').click()")
            seen(page, "From submit to result")
            page.screenshot(pathlib.Path(shots) / "console-task.png")
