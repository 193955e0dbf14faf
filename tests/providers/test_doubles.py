"""Every provider through the life of a block, with a double of its batch system: requested, running,
given back, failing, refused, left behind by a killed endpoint, and with a scheduler that misbehaves."""

import os
import signal
import time

import pytest

from support.long import some
from support.process import wait_for

SINGLE = {"type": "SingleNodeLauncher"}
SYSTEMS = {
    "pbspro": ({"type": "PBSProProvider"}, ["qsub", "qstat", "qdel", "qselect"]),
    "torque": ({"type": "TorqueProvider"}, ["qsub", "qstat", "qdel", "qselect"]),
    "slurm": ({"type": "SlurmProvider"}, ["sbatch", "sacct", "squeue", "scancel"]),
    "lsf": ({"type": "LSFProvider"}, ["bsub", "bjobs", "bkill"]),
    "sge": ({"type": "GridEngineProvider"}, ["qsub", "qstat", "qdel"]),
    "condor": ({"type": "CondorProvider"}, ["condor_submit", "condor_q", "condor_rm"]),
    "cobalt": ({"type": "CobaltProvider"}, ["qsub", "qstat", "qdel"]),
    "kubernetes": ({"type": "KubernetesProvider", "image": "python:3", "max_blocks": 1},
                   ["kubectl"]),
}
CANCEL = {"pbspro": "qdel", "torque": "qdel", "slurm": "scancel", "lsf": "bkill", "sge": "qdel",
          "condor": "condor_rm", "cobalt": "qdel", "kubernetes": "kubectl delete"}
every_system = pytest.mark.parametrize("system", SYSTEMS)
some_systems = pytest.mark.parametrize("system", some(SYSTEMS, ("pbspro", "slurm", "kubernetes")))


@pytest.fixture
def parts(system, double):
    options, commands = SYSTEMS[system]
    return system, double(system, commands), {"init_blocks": 0} | options


@every_system
def test_life_of_a_block(parts, drive):
    system, batch, options = parts
    d = drive(options, batch.path)
    assert batch.log() == []
    d.order("demand 1")
    wait_for("a job", lambda: batch.alive() == [1])
    d.wait_states(["RUNNING"])
    d.order("agent 0")
    d.order("demand 0")
    d.expect("hold")
    d.expect("ended")
    d.wait_states(["SCALED_IN"])
    wait_for("the job's end", lambda: batch.alive() == [])
    wait_for("an empty list of jobs", lambda: not (d.dir / "batch_jobs.json").exists())
    d.down()
    assert sum(line.startswith(CANCEL[system]) for line in batch.log()) <= 2
    assert not any(line == CANCEL[system] for line in batch.log())


@every_system
def test_failing_block(parts, drive):
    system, batch, options = parts
    init = {"worker_init": "echo out of luck; echo no such module >&2; exit 7"}
    d = drive(options | init, batch.path)
    d.order("demand 1")
    text = d.expect("bad_state")["text"]
    assert text.startswith("Executor drive failed due to: Error 1:\n\tJob is marked as MISSING since "
                           "the workers failed to register to the executor.")
    if system in ("pbspro", "kubernetes"):
        assert "\tEXIT CODE: 7\n" in text
    if system == "kubernetes":
        assert "\tSTDOUT: out of luck\nno such module\n" in text
    else:
        assert "\tSTDOUT: out of luck\n" in text or system == "cobalt"  # it says more by itself
        assert "\tSTDERR: no such module\n" in text
    assert "\tSCRIPT: " in text and "\tJOB: " in text
    time.sleep(1)
    assert len(batch.jobs()) == 1
    d.down()


@every_system
def test_refused_submission(parts, drive):
    system, batch, options = parts
    batch.fault("refuse-submit", "the queue is closed")
    d = drive(options, batch.path)
    d.order("demand 1")
    text = d.expect("bad_state")["text"]
    assert "\tFailed to start block 0: " in text and "the queue is closed" in text
    if system in ("torque", "sge", "lsf"):
        assert "Executor drive failed to scale due to: Attempt to provision nodes did not return a job ID" in text
    assert not (d.dir / "batch_jobs.json").exists()
    d.down()
    assert not any(line.startswith(CANCEL[system]) for line in batch.log())


@some_systems
@pytest.mark.parametrize("trouble", [("down", "1"), ("slow-status", "30"), ("garbage", "0.001"),
                                     ("garbage", "30")], ids="-".join)
def test_no_answer_is_no_end(parts, trouble, drive):
    system, batch, options = parts
    d = drive(options | {"cmd_timeout": 1}, batch.path, error_handler=False)
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    batch.fault(*trouble)
    time.sleep(3)
    for _ in range(5):  # and the loop isn't held up
        begin = time.monotonic()
        assert d.states() == ["RUNNING"]
        assert time.monotonic() - begin < 0.8
    batch.fault(trouble[0], None)
    os.killpg(batch.jobs()[0]["pid"], signal.SIGKILL)
    (batch.folder / "jobs" / "1.ec").write_text("137")
    d.expect("ended")
    assert d.states()[0] == "MISSING"
    d.down()


@every_system
def test_job_that_nobody_knows_any_more(parts, drive):
    system, batch, options = parts
    d = drive(options, batch.path, error_handler=False)
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    d.order("agent 0")
    batch.fault("forget")
    os.killpg(batch.jobs()[0]["pid"], signal.SIGKILL)
    (batch.folder / "jobs" / "1.ec").write_text("0")
    d.expect("ended")
    assert d.states()[0] in ("COMPLETED", "FAILED")
    d.down()


@every_system
def test_killed_endpoint_leaves_nothing(parts, drive):
    system, batch, options = parts
    d = drive(options, batch.path, label="one")
    d.order("demand 1")
    wait_for("a job", lambda: batch.alive() == [1])
    d.wait_states(["RUNNING"])
    d.kill()
    assert batch.alive() == [1]
    other = drive(options, batch.path, label="two", dir=d.dir.parent / "other")
    other.order("demand 1")
    other.wait_states(["RUNNING"])
    assert batch.alive() == [1, 2]
    d = drive(options, batch.path, label="one")  # the same endpoint again
    wait_for("the old job's end", lambda: batch.alive() == [2])
    wait_for("an empty list of jobs", lambda: not (d.dir / "batch_jobs.json").exists())
    assert other.states() == ["RUNNING"]
    d.down()
    other.down()
    wait_for("the other job's end", lambda: batch.alive() == [])


@every_system
def test_killed_endpoint_whose_job_has_ended(parts, drive):
    system, batch, options = parts
    d = drive(options, batch.path, command="true", error_handler=False)
    d.order("demand 1")
    wait_for("its id", lambda: any(d.jobs().values()))  # without one, the next looks for it for minutes
    d.kill()
    wait_for("its end", lambda: batch.alive() == [])
    d = drive(options, batch.path)
    wait_for("an empty list of jobs", lambda: not (d.dir / "batch_jobs.json").exists(), 10)
    d.down()


@some_systems
def test_submission_without_an_answer(parts, drive):
    system, batch, options = parts
    batch.fault("slow-submit", 30)
    d = drive(options | {"cmd_timeout": 4}, batch.path)
    d.order("demand 1")
    wait_for("a refused block", lambda: "FAILED" in d.states())
    d.order("demand 0")
    assert "gave no answer within 4 s" in d.output()
    wait_for("the job's end", lambda: len(batch.jobs()) == 1 and batch.alive() == [], 50)
    assert d.seen("bad_state") == 0  # once is no reason to give up
    d.down()


@every_system
def test_odd_answer_to_a_submission(parts, drive):
    system, batch, options = parts
    batch.fault("odd-submit", "-rf $(touch /tmp/no)")
    d = drive(options, batch.path)
    d.order("demand 1")
    wait_for("a refused block", lambda: "FAILED" in d.states())
    d.order("demand 0")
    wait_for("the job's end", lambda: len(batch.jobs()) == 1 and batch.alive() == [])
    d.down()


@pytest.mark.parametrize("system", ["pbspro", "slurm", "kubernetes"])
def test_scheduler_that_does_not_cancel(parts, drive):
    system, batch, options = parts
    d = drive(options, batch.path)
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    d.order("agent 0")
    batch.fault("refuse-cancel", 2)
    d.order("demand 0")
    d.wait_states(["SCALED_IN"])
    assert (d.dir / "batch_jobs.json").exists()
    wait_for("the job's end", lambda: batch.alive() == [], 60)
    wait_for("an empty list of jobs", lambda: not (d.dir / "batch_jobs.json").exists())
    d.down()


@some_systems
def test_job_that_is_taken_late(parts, drive):
    """The submit command is given up, the controller takes the job seconds after the first look for it."""
    system, batch, options = parts
    batch.fault("late-submit", 4)
    d = drive(options | {"cmd_timeout": 1}, batch.path)
    d.order("demand 1")
    wait_for("a refused block", lambda: "FAILED" in d.states())
    d.order("demand 0")
    batch.fault("late-submit", None)
    wait_for("the late job", lambda: len(batch.jobs()) == 1)
    assert d.blocks()[0]["job_name"] in d.jobs()
    wait_for("its end", lambda: batch.alive() == [], 60)
    assert d.seen("bad_state") == 0
    d.down()


@some_systems
def test_hanging_commands_hold_no_submission_up(parts, drive):
    system, batch, options = parts
    d = drive(options | {"cmd_timeout": 600}, batch.path, max_idletime_s=0)
    batch.fault("slow-cancel", 40)
    batch.fault("slow-status", 40)
    for block in range(4):
        d.order("demand 1")
        wait_for("a job", lambda: len(batch.jobs()) == block + 1, 20)
        wait_for("its id", lambda: d.blocks()[block]["job_id"])
        d.order(f"agent {block}")
        d.order("demand 0")
        d.expect("hold")
    d.kill()


@pytest.mark.parametrize("system", ["pbspro", "torque", "slurm", "lsf", "condor"])
def test_many_jobs_at_once(parts, drive):
    system, batch, options = parts
    more = {"slurm": {"status_batch_size": 3}, "condor": {"cmd_chunk_size": 3}}.get(system, {})
    d = drive(options | {"max_blocks": 7} | more, batch.path)
    d.order("demand 7")
    d.wait_states(["RUNNING"] * 7)
    for block in range(7):
        d.order(f"agent {block}")
    os.killpg(batch.jobs()[2]["pid"], signal.SIGKILL)
    (batch.folder / "jobs" / "3.ec").write_text("9")
    d.expect("ended")
    states = d.states()
    assert len([s for s in states if s not in ("RUNNING", "PENDING", "SUBMITTING")]) == 1
    d.down()
    wait_for("all jobs' end", lambda: batch.alive() == [])


# ---- PBS Pro's own troubles ----


@pytest.mark.parametrize("system", ["pbspro"])
@pytest.mark.parametrize("trouble", ["no-history", "broken-json", "one-of-many"])
def test_pbs_servers(parts, trouble, drive):
    system, batch, options = parts
    batch.fault(trouble)
    d = drive(options | {"max_blocks": 3}, batch.path, error_handler=False)
    d.order("demand 3")
    wait_for("three jobs", lambda: batch.alive() == [1, 2, 3])
    for block in range(3):
        d.order(f"agent {block}")
    time.sleep(3)
    assert d.states() == ["RUNNING"] * 3, d.output()
    os.killpg(batch.jobs()[1]["pid"], signal.SIGKILL)
    (batch.folder / "jobs" / "2.ec").write_text("9")
    ended = d.expect("ended", 20)["block"]
    assert d.blocks()[int(ended)]["job_id"].startswith("2.")
    assert len([s for s in d.states() if s == "COMPLETED"]) == 1
    d.down()
    wait_for("all jobs' end", lambda: batch.alive() == [])


@pytest.mark.parametrize("system", ["slurm"])
def test_slurm_without_accounting(parts, drive):
    system, batch, options = parts
    batch.fault("no-accounting")
    d = drive(options | {"max_blocks": 2}, batch.path, error_handler=False)
    d.order("demand 2")
    d.wait_states(["RUNNING", "RUNNING"])
    d.order("agent 0")
    d.order("agent 1")
    batch.fault("forget")
    os.killpg(batch.jobs()[0]["pid"], signal.SIGKILL)
    (batch.folder / "jobs" / "1.ec").write_text("0")
    d.expect("ended")
    assert "COMPLETED" in d.states()
    d.down()
    assert "sacct -X" in batch.log()
    assert any(line.startswith("squeue --noheader '--format=%i %t' --job ") for line in batch.log())


# ---- LocalProvider ----


def test_local(drive):
    d = drive({"type": "LocalProvider", "init_blocks": 0})
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    pid = int(d.blocks()[0]["job_id"])
    assert os.getpgid(pid) == pid
    d.order("agent 0")
    d.order("demand 0")
    d.wait_states(["SCALED_IN"])
    wait_for("the shell's end", lambda: not os.path.exists(f"/proc/{pid}"))
    d.down()


def test_local_failure(drive):
    d = drive({"type": "LocalProvider", "worker_init": "echo why >&2; exit 7"})
    text = d.expect("bad_state")["text"]
    assert "\tEXIT CODE: 7\n" in text and "\tSTDERR: why\n" in text and ".sh\n" in text
    d.down()


def test_local_that_does_not_listen(drive):
    d = drive({"type": "LocalProvider", "worker_init": "trap '' TERM"}, command="sleep 700",
              max_idletime_s=60)
    d.wait_states(["RUNNING"])
    time.sleep(0.5)
    pid = int(d.blocks()[0]["job_id"])
    begin = time.monotonic()
    d.down()
    assert time.monotonic() - begin < 15
    assert not os.path.exists(f"/proc/{pid}")


def test_local_left_behind(drive):
    """kill -9: the shell goes with its endpoint; what it started is found by JOBNAME."""
    d = drive({"type": "LocalProvider"}, command="trap '' TERM; sleep 701", max_idletime_s=60)
    d.wait_states(["RUNNING"])
    pid = int(d.blocks()[0]["job_id"])
    time.sleep(0.5)
    d.kill()
    from harness import group_is_alive
    assert group_is_alive(pid)
    d = drive({"type": "LocalProvider", "init_blocks": 0})
    wait_for("the end of what was left", lambda: not group_is_alive(pid))
    d.down()
