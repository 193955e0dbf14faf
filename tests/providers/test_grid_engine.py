"""GridEngineProvider with a real Grid Engine of one host, where it is installed."""

import pytest

from support import grid_engine
from support.grid_engine import GridEngine
from support.process import wait_for


@pytest.fixture(scope="module")
def engine(session_folder):
    if reason := grid_engine.why_not():
        pytest.skip(reason)
    with GridEngine(session_folder / "grid-engine") as made:
        yield made


@pytest.fixture
def start(engine, drive):
    def make(provider=None, **settings):
        options = {"type": "GridEngineProvider", "init_blocks": 0}
        return drive(options | (provider or {}), path=engine.path, env=engine.env,
                     **{"poll_s": 1, "max_idletime_s": 1} | settings)

    yield make
    for job in engine.jobs():
        engine.run("qdel", job, check=False)
    wait_for("an empty queue", lambda: engine.jobs() == {}, 40)


def test_life_of_a_block(engine, start, folder):
    seen = folder / "seen"
    d = start({"queue": "all.q", "worker_init": "export HELLO=you"}, command=f"echo $HELLO $JOB_ID >> {seen}; sleep 600")
    d.order("demand 1")
    d.wait_states(["RUNNING"], 60)
    wait_for("the job", seen.exists)
    assert seen.read_text().split() == ["you", d.blocks()[0]["job_id"]]
    d.order("agent 0")
    d.order("demand 0")
    d.expect("ended")
    assert d.states() == ["SCALED_IN"]
    wait_for("an empty queue", lambda: engine.jobs() == {}, 40)
    d.down()


def test_refused(engine, start):
    d = start({"queue": "nosuch"})
    d.order("demand 1")
    assert "nosuch" in d.expect("bad_state")["text"]
    d.down()


def test_failing_job(engine, start):
    d = start({"worker_init": "echo no such module >&2; exit 7"})
    d.order("demand 1")
    text = d.expect("bad_state", 60)["text"]
    assert "Job is marked as MISSING" in text and "\tSTDERR: no such module\n" in text
    d.down()


def test_two_blocks_of_which_one_ends(engine, start):
    d = start({"max_blocks": 2})
    d.order("demand 2")
    d.wait_states(["RUNNING", "RUNNING"], 60)
    d.order("agent 0")
    d.order("agent 1")
    d.order("load 0 1 1")
    d.order("load 1 1 1")
    engine.run("qdel", d.blocks()[0]["job_id"])
    assert d.expect("ended", 60)["block"] == "0"
    assert d.states()[:2] == ["COMPLETED", "RUNNING"]
    d.down()


def test_killed_endpoint(engine, start):
    d = start()
    d.order("demand 1")
    d.wait_states(["RUNNING"], 60)
    d.kill()
    assert len(engine.jobs()) == 1
    d = start()
    wait_for("the old job's end", lambda: engine.jobs() == {}, 40)
    wait_for("an empty list of jobs", lambda: d.jobs() == {})
    d.down()


def test_master_away(engine, start):
    d = start({"cmd_timeout": 5})
    d.order("demand 1")
    d.wait_states(["RUNNING"], 60)
    d.order("agent 0")
    engine.kill("sge_qmaster")
    polls = d.log.read_text().count("no usable answer")
    wait_for("failed questions", lambda: d.log.read_text().count("no usable answer") > polls, 40)
    assert d.states() == ["RUNNING"]
    engine.start_daemon("sge_qmaster")
    wait_for("the master", engine._answers, 60)
    assert d.states() == ["RUNNING"]
    d.down(60)
