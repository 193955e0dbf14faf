"""SlurmProvider and Slurm's launchers with a real Slurm of several nodes, with and without accounting."""

import time

import pytest

from support import slurm_cluster
from support.process import wait_for
from support.slurm_cluster import SlurmCluster

SRUN = {"type": "SrunLauncher"}


@pytest.fixture(scope="module", params=["plain", "accounting"])
def cluster(request, session_folder):
    accounting = request.param == "accounting"
    if reason := slurm_cluster.why_not(accounting):
        pytest.skip(reason)
    with SlurmCluster(session_folder / f"slurm-{request.param}", accounting=accounting) as made:
        yield made


@pytest.fixture
def start(cluster, drive):
    """Blocks on that cluster; nothing is left in its queue at the end."""

    def make(provider=None, **settings):
        options = {"type": "SlurmProvider", "init_blocks": 0, "exclusive": True, "cmd_timeout": 30}
        settings = {"poll_s": 1, "max_idletime_s": 1} | settings
        return drive(options | (provider or {}), path=slurm_cluster.PATH, env=cluster.env, **settings)

    yield make
    for job in cluster.queue():
        cluster.run("scancel", job, check=False)
    wait_for("an empty queue", lambda: cluster.queue() == {}, 60)
    cluster.run("scontrol", "update", f"nodename={','.join(cluster.nodes)}", "state=resume", check=False)
    wait_for("idle nodes", cluster.all_idle, 60)


def test_block_of_two_nodes(cluster, start, folder):
    seen = folder / "seen"
    d = start({"nodes_per_block": 2, "launcher": SRUN, "worker_init": "export HELLO=you"},
              command=f"echo $HELLO $(printenv SLURMD_NODENAME) \\$(printenv SLURMD_NODENAME) >> {seen}; "
                      "sleep 600")
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    wait_for("both nodes", lambda: seen.exists() and len(seen.read_text().splitlines()) == 2)
    lines = sorted(seen.read_text().split() for _ in [0])[0]
    assert lines[0] == "you" and {lines[2], lines[5]} == set(cluster.nodes[:2])
    d.order("agent 0")
    d.order("demand 0")
    d.expect("ended")
    assert d.states() == ["SCALED_IN"]
    wait_for("an empty queue", lambda: cluster.queue_is(0))
    d.down()


@pytest.mark.parametrize("kind", ["SrunMPILauncher", "SingleNodeLauncher", "MpiExecLauncher"])
def test_launchers_in_a_job(cluster, start, folder, kind):
    import shutil
    if kind == "MpiExecLauncher" and not shutil.which("mpiexec"):
        pytest.skip("mpiexec is not installed")
    seen = folder / "seen"
    launcher = {"type": kind}
    if kind == "MpiExecLauncher":  # as root, and on nodes that are all this machine
        launcher["overrides"] = "--allow-run-as-root --oversubscribe"
    d = start({"nodes_per_block": 2, "launcher": launcher}, command=f"echo x >> {seen}; sleep 600")
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    # each srun of SrunMPILauncher takes the number of tasks from the job, as the original's does
    copies = 4 if kind == "SrunMPILauncher" else 2
    wait_for("copies", lambda: seen.exists() and seen.read_text() == "x\n" * copies, 40)
    d.down()
    wait_for("an empty queue", lambda: cluster.queue_is(0))


def test_refused(cluster, start):
    d = start({"partition": "nosuch"})
    d.order("demand 1")
    text = d.expect("bad_state")["text"]
    assert ("Could not read job ID from submit command standard output; recode=1, stdout=, "
            "stderr=sbatch: error: invalid partition specified: nosuch") in text
    d.down()


def test_failing_job(cluster, start):
    d = start({"worker_init": "echo no such module >&2; exit 7"})
    d.order("demand 1")
    text = d.expect("bad_state", 60)["text"]
    assert "Job is marked as MISSING" in text and "\tSTDERR: no such module\n" in text
    d.down()


def test_node_failure(cluster, start):
    d = start({"scheduler_options": "#SBATCH --no-requeue"})
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    d.order("agent 0")
    job = d.blocks()[0]["job_id"]
    node = cluster.run("squeue", "-h", "-j", job, "-o", "%N").strip()
    cluster.kill(node)
    cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        assert d.expect("ended", 60)["block"] == "0"
        wanted = "FAILED" if cluster.accounting else "COMPLETED"  # squeue doesn't tell how it ended
        assert d.states()[0] == wanted
        wait_for("a new block", lambda: d.states()[1:] == ["RUNNING"], 30)
        d.down()
    finally:
        cluster.start_node(node)


@pytest.mark.timeout(240)
def test_controller_that_does_not_answer(cluster, start):
    """What sbatch left in the frozen controller's socket becomes a job later: it goes, what runs stays."""
    d = start({"max_blocks": 2, "cmd_timeout": 3}, error_handler=False)
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    d.order("agent 0")
    cluster.freeze("slurmctld")
    try:
        d.order("demand 2")
        wait_for("a refused block", lambda: "FAILED" in d.states(), 30)
        assert d.states()[0] == "RUNNING"
    finally:
        cluster.thaw("slurmctld")
    refused = [b["job_name"] for b in d.blocks() if b["state"] == "FAILED"]
    d.order("demand 1")

    def settled():  # looked for more than once since
        looks = d.log.read_text().count(f"job={refused[-1]} event=looked_for")
        return looks >= 3 and not any(name in refused for _, name in cluster.queue().values())

    wait_for("an orderly queue", settled, 120)
    assert refused[-1] in d.jobs()
    assert d.states()[0] == "RUNNING"
    d.down()
    wait_for("an empty queue", lambda: cluster.queue_is(0), 60)


def test_controller_restart(cluster, start):
    d = start({"cmd_timeout": 3})
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    d.order("agent 0")
    cluster.end("slurmctld")
    time.sleep(5)
    assert d.states() == ["RUNNING"]
    cluster.start_controller()
    wait_for("the controller", lambda: cluster.run("scontrol", "ping", check=False).find("is UP") > 0)
    time.sleep(3)
    assert d.states() == ["RUNNING"]
    d.down()
    wait_for("an empty queue", lambda: cluster.queue_is(0))


def test_killed_endpoint(cluster, start):
    d = start()
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    d.kill()
    assert cluster.queue_is(1)
    other = start(label="other", dir=d.dir.parent / "other")
    other.order("demand 1")
    other.wait_states(["RUNNING"])
    d = start()
    wait_for("the old job's end", lambda: cluster.queue_is(1))
    assert [name for _, name in cluster.queue().values() if ".other." in name]
    wait_for("an empty list of jobs", lambda: not (d.dir / "batch_jobs.json").exists())
    d.down()
    other.down()


@pytest.mark.timeout(300)
def test_database_away(cluster, start):
    if not cluster.accounting:
        pytest.skip("this cluster has no accounting")
    d = start()
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    d.order("agent 0")
    cluster.kill("slurmdbd")
    time.sleep(4)
    try:
        assert d.states() == ["RUNNING"]
        job = d.blocks()[0]["job_id"]
        d.order("demand 0")  # nothing takes its place
        cluster.run("scancel", job)
        d.expect("ended", 90)
        d.down()
        d = start(dir=d.dir.parent / "meanwhile")  # what has never asked is not held up either
        d.order("demand 1")
        d.wait_states(["RUNNING"], 60)
        d.down()
        wait_for("an empty queue", lambda: cluster.queue_is(0))
    finally:
        cluster.start_database()
    # The database is behind for some time: what it does not know has not ended.
    d = start(dir=d.dir.parent / "later")
    d.order("demand 1")
    wait_for("a block in the queue", lambda: cluster.queue_is(1))
    time.sleep(6)
    assert d.states() in (["RUNNING"], ["PENDING"])
    d.order("agent 0")
    job = d.blocks()[0]["job_id"]
    wait_for("the database", lambda: "RUNNING" in cluster.run("sacct", "-X", "-n", "-j", job), 90)
    d.down()


@pytest.mark.timeout(240)
def test_time_limit(cluster, start):
    if not cluster.accounting:
        pytest.skip("squeue does not tell a time-out from an end")
    d = start({"walltime": 60})
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    d.order("agent 0")
    d.order("load 0 1 1")
    d.expect("ended", 150)
    assert d.states()[0] == "TIMEOUT"
    d.down()


def test_pending_block_is_given_back(cluster, start):
    """Two blocks for a cluster that has room for one: the second waits, then goes without having run."""
    d = start({"nodes_per_block": 2, "max_blocks": 2}, max_idletime_s=2)
    d.order("demand 4")
    wait_for("one running, one waiting", lambda: sorted(d.states()) == ["PENDING", "RUNNING"], 30)
    d.order("demand 0")
    wait_for("nothing", lambda: set(d.states()) == {"SCALED_IN"}, 30)
    wait_for("an empty queue", lambda: cluster.queue_is(0))
    d.down()
