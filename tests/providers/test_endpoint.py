"""The templates of conf/examples through a real user endpoint, agent and worker, with the double of the
batch system: a task makes a block, its result comes back, an idle block and a stopped endpoint leave
no job."""

import json
import os
import pathlib
import sys

import pytest

pytest.importorskip("pika")
pytest.importorskip("globus_compute_sdk")
jinja2 = pytest.importorskip("jinja2")

ENDPOINT_TESTS = pathlib.Path(__file__).parents[1] / "endpoint"
sys.path.append(str(ENDPOINT_TESTS))

import yaml  # noqa: E402
from support.process import wait_for  # noqa: E402
from test_examples import DOUBLES, EXAMPLES, GIVEN, provider_of  # noqa: E402
from uep import Cloud, Failed  # noqa: E402

SKIPPED = {"local.yaml.j2", "slurm-mpi.yaml.j2", "kubernetes.yaml.j2"}
FILES = sorted(p.name for p in EXAMPLES.glob("*.j2") if p.name not in SKIPPED)


@pytest.fixture
def cloud(prefix, rabbit, folder):
    made = Cloud(prefix, rabbit.url, folder)
    yield made
    made.close()


def where_am_i():
    import os
    return {k: v for k, v in os.environ.items() if k in ("PBS_JOBID", "JOBNAME", "PARSL_WORKER_BLOCK_ID")}


def config_of(name, **changes):
    """Rendered as a site would have it, but for an interface that every machine has."""
    text = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(
        (EXAMPLES / name).read_text()).render(
            {k: json.dumps(v) for k, v in GIVEN.items()} | {"WORKER_INIT_COMMAND": '"true"',
                                                            "NODES_PER_BLOCK": 1})
    config = yaml.safe_load(text)
    config["engine"]["address"] = {"type": "address_by_interface", "ifname": "lo"}
    config["engine"]["max_workers_per_node"] = 1
    config["engine"]["provider"] |= changes
    config["heartbeat_period"] = 5
    return config


@pytest.fixture
def system(double):
    def make(name):
        made = double(*DOUBLES[provider_of(name, GIVEN)["type"]])
        for launcher in ("srun", "mpiexec", "mpirun"):
            path = made.bin / launcher
            path.write_text("#!/bin/sh\nfor last; do :; done\nexec sh \"$last\"\n")
            path.chmod(0o755)
        return made
    return make


@pytest.mark.parametrize("name", FILES)
def test_task(cloud, system, name):
    batch = system(name)
    uep = cloud.start(yaml.safe_dump(config_of(name)), env={"PATH": batch.path, "USER": "tstu"})
    got = cloud.result(cloud.submit(where_am_i), timeout=60)
    assert got["PARSL_WORKER_BLOCK_ID"] == "0"
    assert ".block-0." in got["JOBNAME"]
    if "PBS" in provider_of(name, GIVEN)["type"]:
        assert got["PBS_JOBID"] == "1.pretend"
    assert len(batch.jobs()) == 1
    assert uep.stop() == 0
    wait_for("the job's end", lambda: batch.alive() == [])
    assert not (uep.dir / "batch_jobs.json").exists()


def test_polaris_as_printed(cloud, system):
    """From no block to one at the first task, and back to none when it was idle for long enough."""
    batch = system("polaris.yaml.j2")
    config = config_of("polaris.yaml.j2")
    config["engine"]["strategy"]["max_idletime"] = 2
    uep = cloud.start(yaml.safe_dump(config), env={"PATH": batch.path})
    cloud.beat()
    assert batch.log() == []
    cloud.result(cloud.submit(where_am_i), timeout=60)
    wait_for("the idle block's end", lambda: batch.alive() == [], 40)
    assert [line.split()[0] for line in batch.log() if not line.startswith("qstat")] == ["qsub", "qdel"]
    again = cloud.result(cloud.submit(where_am_i), timeout=60)
    assert again["PARSL_WORKER_BLOCK_ID"] == "1"
    assert uep.stop() == 0
    wait_for("the job's end", lambda: batch.alive() == [])


def test_broken_site(cloud, system):
    """Every waiting task gets the scheduler's words."""
    batch = system("polaris.yaml.j2")
    batch.fault("refuse-submit", "qsub: Account 314159 is not valid for this user")
    uep = cloud.start(yaml.safe_dump(config_of("polaris.yaml.j2")), env={"PATH": batch.path})
    with pytest.raises(Failed) as error:
        cloud.result(cloud.submit(where_am_i), timeout=60)
    text = str(error.value)
    assert "parsl.executors.errors.BadStateException: Executor " in text
    assert "Account 314159 is not valid for this user" in text and "SCRIPT: " in text
    assert uep.wait(60) == 0


def test_killed(cloud, system):
    """kill -9 of the endpoint: the next one ends the job and answers the task."""
    batch = system("pbspro.yaml.j2")
    batch.fault("hold")
    uep = cloud.start(yaml.safe_dump(config_of("pbspro.yaml.j2")), env={"PATH": batch.path})
    task = cloud.submit(where_am_i)
    wait_for("a job", lambda: batch.alive() == [1])
    wait_for("its id", lambda: "1.pretend" in (uep.dir / "batch_jobs.json").read_text())
    uep.kill()
    batch.fault("hold", None)
    uep = cloud.start(yaml.safe_dump(config_of("pbspro.yaml.j2")), env={"PATH": batch.path})
    assert cloud.result(task, timeout=60)["PBS_JOBID"] == "2.pretend"
    wait_for("the old job's end", lambda: batch.alive() == [2])
    assert uep.stop() == 0
    wait_for("the job's end", lambda: batch.alive() == [])
    assert os.path.exists(uep.dir)
