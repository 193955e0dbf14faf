"""The end of the endpoint that this folder shares: the last file for that reason."""

from pathlib import Path

from support.process import processes_of, wait_for
from support.sdk import run_script

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_stop_ends_all_of_it(site, user, accounts):
    """Nothing of the accounts is left, and the exit status is 0."""
    run_script(EXAMPLES / "some_task.py", user("ada"), site.endpoint_id).check()
    assert processes_of(accounts.get("ada").uid)
    assert site.stop() == 0
    for who in ("ada", "bob"):
        wait_for(f"end of {who}'s processes", lambda: not processes_of(accounts.get(who).uid), 20)
