"""The templates of conf/examples: rendered with and without the user's values, their providers are
accepted, and each makes a block with the double of its batch system."""

import json
import os
import pathlib
import subprocess

import pytest

yaml = pytest.importorskip("yaml")
jinja2 = pytest.importorskip("jinja2")

from support.process import wait_for  # noqa: E402

EXAMPLES = pathlib.Path(__file__).parents[2] / "conf" / "examples"
FILES = sorted(p.name for p in EXAMPLES.glob("*.j2"))
GIVEN = {
    "ACCOUNT_ID": "314159", "WORKER_INIT_COMMAND": "module load x: y # not a comment",
    "NODES_PER_BLOCK": 2, "WALLTIME": "2:00:00", "QUEUE": "prod", "MAX_BLOCKS": 3,
}
DOUBLES = {
    "PBSProProvider": ("pbspro", ["qsub", "qstat", "qdel", "qselect"]),
    "TorqueProvider": ("torque", ["qsub", "qstat", "qdel", "qselect"]),
    "SlurmProvider": ("slurm", ["sbatch", "sacct", "squeue", "scancel"]),
    "LSFProvider": ("lsf", ["bsub", "bjobs", "bkill"]),
    "GridEngineProvider": ("sge", ["qsub", "qstat", "qdel"]),
    "CondorProvider": ("condor", ["condor_submit", "condor_q", "condor_rm"]),
    "CobaltProvider": ("cobalt", ["qsub", "qstat", "qdel"]),
    "KubernetesProvider": ("kubernetes", ["kubectl"]),
}


def provider_of(name, values):
    """As the endpoint sees it: texts of users are JSON strings, keys without a value are dropped."""
    texts = {k: json.dumps(v) for k, v in values.items()}
    template = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(
        (EXAMPLES / name).read_text())
    text = template.render(texts)
    return yaml.safe_load(text)["engine"]["provider"]


def test_all_are_listed():
    readme = (EXAMPLES / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in FILES) and len(FILES) >= 11


@pytest.mark.parametrize("values", [{"ACCOUNT_ID": "x"}, GIVEN], ids=["least", "given"])
@pytest.mark.parametrize("name", FILES)
def test_is_accepted(program, folder, name, values):
    file = folder / "settings.json"
    file.write_text(json.dumps({"check": True, "provider": provider_of(name, values)}))
    done = subprocess.run([program, file], text=True, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [n for n in FILES if not n.startswith("local")])
def test_makes_a_block(drive, double, name, folder):
    provider = provider_of(name, GIVEN | {"WORKER_INIT_COMMAND": "export HELLO=1"})
    system = double(*DOUBLES[provider["type"]])
    for launcher in ("srun", "mpiexec", "mpirun"):  # they start nothing else here
        path = system.bin / launcher
        path.write_text(f"#!/bin/sh\necho \"$0 $*\" >> {system.folder}/launched\n"
                        "for last; do :; done\nexec sh \"$last\"\n")
        path.chmod(0o755)
    seen = folder / "seen"
    d = drive(provider, system.path, command=f"printenv HELLO > {seen}; sleep 600")
    d.order("demand 1")
    d.wait_states(["RUNNING"])
    wait_for("the command", lambda: seen.exists() and seen.read_text() == "1\n")
    d.down()
    wait_for("the job's end", lambda: system.alive() == [])
    if name == "polaris.yaml.j2":
        script = next(p for p in (d.dir / "submit_scripts").iterdir() if p.suffix not in
                      (".sh", ".stdout", ".stderr", ".nodes"))
        lines = script.read_text().splitlines()
        assert "#PBS -l walltime=3600" in lines
        assert "#PBS -l select=2:ncpus=1" in lines
        assert system.log()[0] == f"qsub -q debug-scaling -A 314159 {script}"
        launched = (system.folder / "launched").read_text()
        assert "--bind-to none -n 2 --hostfile" in launched
        assert not list(pathlib.Path(os.getcwd()).glob("*.nodes"))
