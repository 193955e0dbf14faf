"""The scripts and command lines of each provider and the text of each launcher, beside those that the
original makes from the same options.

Both are written by running the real thing: blocks_drive with a scheduler that writes down its command
line, and parsl's provider with its commands caught.  What may differ is listed in `normal()`: blank
lines, the job's name, and the names of our files."""

import importlib
import json
import os
import re
import shlex
import subprocess

import pytest

parsl = pytest.importorskip("parsl", reason="the original is not installed for this Python")

from parsl import launchers as original_launchers  # noqa: E402
from parsl import providers as original_providers  # noqa: E402

COMMAND = "agent --block 0 --cores 1.5"
SINGLE = {"type": "SingleNodeLauncher"}
ANSWERS = {
    "SlurmProvider": ("sbatch", "Submitted batch job 7"),
    "PBSProProvider": ("qsub", "7.pbs"),
    "TorqueProvider": ("qsub", "7.torque"),
    "GridEngineProvider": ("qsub", "7"),
    "LSFProvider": ("bsub", "Job <7> is submitted to queue <q>."),
    "CondorProvider": ("condor_submit", "1 job(s) submitted to cluster 7."),
}
SIMPLE = {"type": "SimpleLauncher"}
CASES = [
    {"type": "SlurmProvider"},
    {"type": "SlurmProvider", "partition": "debug", "account": "a-1", "qos": "express",
     "constraint": "cpu&x", "gres": "gpu:2", "cores_per_node": 8, "mem_per_node": 32,
     "gpus_per_node": 2, "walltime": "01:30:00", "scheduler_options": "#SBATCH --mail-type=NONE",
     "worker_init": "module load python\nsource venv/bin/activate", "nodes_per_block": 3,
     "clusters": "c1", "exclusive": False},
    {"type": "SlurmProvider", "exclusive": True, "worker_init": "true\n",
     "scheduler_options": "#SBATCH -A x\n#SBATCH -L y\n", "walltime": "48:00:00"},
    {"type": "PBSProProvider"},
    {"type": "PBSProProvider", "account": "a-1", "queue": "debug-scaling", "cpus_per_node": 64,
     "select_options": "ngpus=4", "scheduler_options": "#PBS -l filesystems=home:eagle",
     "worker_init": "module load conda", "walltime": "1:00:00", "nodes_per_block": 2},
    {"type": "PBSProProvider", "select_options": ":ngpus=4", "walltime": 3600, "queue": "q"},
    {"type": "TorqueProvider", "launcher": SINGLE},
    {"type": "TorqueProvider", "account": "a", "queue": "q", "nodes_per_block": 4,
     "scheduler_options": "#PBS -M nobody", "worker_init": "true", "walltime": "02:00:00",
     "launcher": SINGLE},
    {"type": "GridEngineProvider"},
    {"type": "GridEngineProvider", "queue": "all.q", "walltime": "0:20:00",
     "scheduler_options": "#$ -pe mpi 4", "worker_init": "true", "nodes_per_block": 2},
    {"type": "LSFProvider"},
    {"type": "LSFProvider", "project": "p", "queue": "q", "walltime": "02:10:00",
     "scheduler_options": "#BSUB -alloc_flags smt4", "worker_init": "true", "nodes_per_block": 2},
    {"type": "LSFProvider", "request_by_nodes": False, "cores_per_block": 9, "cores_per_node": 4,
     "bsub_redirection": True},
    {"type": "CondorProvider"},
    {"type": "CondorProvider", "cores_per_slot": 4, "mem_per_slot": 2.5, "project": "p",
     "environment": {"A": "1", "B": "it's \"x\""}, "scheduler_options": "accounting_group = g",
     "transfer_input_files": ["/a", "/b"], "requirements": "OpSysAndVer == \"Debian12\"",
     "worker_init": "true", "nodes_per_block": 2},
    {"type": "CondorProvider", "mem_per_slot": 4.0},
    {"type": "CondorProvider", "mem_per_slot": 4},
]
LAUNCHERS = [
    {"type": "SimpleLauncher"}, {"type": "WrappedLauncher", "prepend": "time"},
    {"type": "SingleNodeLauncher"}, {"type": "SingleNodeLauncher", "fail_on_any": True},
    {"type": "SrunLauncher"}, {"type": "SrunLauncher", "overrides": "--gpus 2"},
    {"type": "SrunMPILauncher", "overrides": "--x"},
    {"type": "AprunLauncher", "overrides": "-b"}, {"type": "JsrunLauncher", "overrides": "-g 4"},
    {"type": "MpiExecLauncher"},
    {"type": "MpiExecLauncher", "bind_cmd": "--cpu-bind", "overrides": "--depth=64 --ppn 1"},
    {"type": "MpiRunLauncher", "bash_location": "/usr/bin/bash", "overrides": "--q"},
    {"type": "GnuParallelLauncher"},
]


def name_of(case):
    return "-".join([case["type"], *sorted(set(case) - {"type"})])[:60]


def normal(text, folder):
    """Without blank lines, blanks at line ends, folder names and the job's name and time."""
    text = text.replace(str(folder / "submit_scripts"), "S")
    text = re.sub(r"(parsl\.)+x\.block-0\.\d+(\.\d+)?", "J", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip()]


# ---- the two sides -----------------------------------------------------------------------------


def ours(program, folder, options):
    """(script, second file or None, command line)"""
    command, answer = ANSWERS[options["type"]]
    (folder / "bin").mkdir(parents=True)
    path = folder / "bin" / command
    path.write_text(f"#!/bin/sh\ncat <<'END' >> {folder}/command\n{command}\nEND\n"
                    f"for a in \"$@\"; do echo \"$a\" >> {folder}/command; done\n"
                    f"test -t 0 || cat > {folder}/stdin\necho '{answer}'\n")
    path.chmod(0o755)
    for other in ("scancel", "qdel", "bkill", "condor_rm"):
        (folder / "bin" / other).write_text("#!/bin/sh\n")
        (folder / "bin" / other).chmod(0o755)
    settings = folder / "settings.json"
    settings.write_text(json.dumps({"provider": {"init_blocks": 1} | options, "dir": str(folder),
                                    "label": "x", "command": COMMAND, "max_idletime_s": 600}))
    run = subprocess.Popen([program, settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True,
                           env=os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}"})
    try:
        assert json.loads(run.stdout.readline())["event"] == "ready"
        for _ in range(400):
            if (folder / "stdin").exists():
                break
            import time
            time.sleep(0.02)
    finally:
        run.stdin.close()
        errors = run.stderr.read()
        assert run.wait(30) == 0, errors
    words = (folder / "command").read_text().split("\n")[:-1]
    scripts = sorted(p for p in (folder / "submit_scripts").iterdir() if not p.name.startswith("cmd_"))
    second = [p for p in scripts if p.suffix == ".script"]
    first = [p for p in scripts if p not in second]
    assert len(first) == 1, scripts
    if not any(w.startswith("/") for w in words):  # bsub < script
        assert (folder / "stdin").read_text() == first[0].read_text()
        words += ["<", str(first[0])]
    return first[0].read_text(), second[0].read_text() if second else None, words


def original_launcher(options):
    arguments = {k: v for k, v in options.items() if k != "type"}
    return getattr(original_launchers, options["type"])(**arguments)


def theirs(folder, options, monkeypatch):
    _, answer = ANSWERS[options["type"]]
    lines = []

    def execute(self, line, *args, **kwargs):
        lines.append(line)
        return 0, answer + "\n", ""

    kind = getattr(original_providers, options["type"])
    base = importlib.import_module("parsl.providers.cluster_provider").ClusterProvider
    monkeypatch.setattr(base, "execute_wait", execute)
    arguments = {k: v for k, v in options.items() if k != "type"}
    if "launcher" in arguments:
        arguments["launcher"] = original_launcher(arguments["launcher"])
    provider = kind(**arguments)
    provider.script_dir = str(folder / "submit_scripts")
    (folder / "submit_scripts").mkdir(parents=True)
    lines.clear()
    provider.submit(COMMAND, 1, "parsl.x.block-0")
    scripts = sorted((folder / "submit_scripts").iterdir())
    second = [p for p in scripts if p.suffix == ".script"]
    first = [p for p in scripts if p not in second]
    return (first[0].read_text(), second[0].read_text() if second else None,
            shlex.split(lines[0]))


# ---- comparisons -------------------------------------------------------------------------------


def split_at_job_name(lines):
    """Directives and worker_init; the launcher's part."""
    for i, line in enumerate(lines):
        if line.startswith("export JOBNAME="):
            return lines[:i + 1], lines[i + 1:]
    return lines, []


@pytest.mark.parametrize("options", CASES, ids=name_of)
def test_script_and_command(program, folder, options, monkeypatch):
    our_script, our_second, our_command = ours(program, folder / "ours", options)
    script, second, command = theirs(folder / "theirs", options, monkeypatch)
    head, _ = split_at_job_name(normal(our_script, folder / "ours"))
    wanted, _ = split_at_job_name(normal(script, folder / "theirs"))
    assert head == wanted
    assert (second is None) == (our_second is None)
    if second is not None:
        until = "export CORES="  # where the launcher's own text begins
        mine = [x for x in normal(our_second, folder / "ours")]
        his = [x for x in normal(second, folder / "theirs")]
        assert mine[:[until in x for x in mine].index(True)] + ["#"] == \
            his[:[until in x for x in his].index(True)] + ["#"] or mine[0] == "set -e"
    assert [normal(w, folder / "ours") for w in our_command] == \
        [normal(w, folder / "theirs") for w in command]


def test_seconds_are_rounded_up(program, folder):
    """The original drops them: 00:00:30 is no time at all there."""
    script, _, _ = ours(program, folder, {"type": "SlurmProvider", "walltime": "00:00:30"})
    assert "#SBATCH --time=1\n" in script


@pytest.mark.parametrize("kind, line", [
    ("SlurmProvider", "#SBATCH --time=60"), ("LSFProvider", "#BSUB -W 60"),
    ("PBSProProvider", "#PBS -l walltime=3600"), ("TorqueProvider", "#PBS -l walltime=3600"),
    ("GridEngineProvider", "#$ -l h_rt=3600")])
def test_walltime_as_yaml_reads_it(program, folder, kind, line):
    """An unquoted 1:00:00 is the number 3600."""
    script, _, _ = ours(program, folder, {"type": kind, "walltime": 3600})
    assert line in script.splitlines()


def essential(lines):
    """The commands that a launcher runs: variables set, programs started, in their order."""
    found = []
    for line in lines:
        line = line.removeprefix('[[ "1" == "1" ]] && ').removesuffix(" || STATUS=$?")
        if re.match(r"(srun|aprun|jsrun|mpiexec|mpirun|parallel|export|WORKERCOUNT|set -e|cat <<|"
                    r"agent|time |CMD )", line):
            found.append(line)
    return found


def same_names(lines):
    """One spelling for the names of files and end marks, which are ours to choose."""
    text = "\n".join(lines)
    text = text.replace('"$CMD_FILE"', "FILE").replace('"$HOSTFILE"', "HOSTS")
    text = re.sub(r'"\$\{SCRIPT_DIR:\+\$SCRIPT_DIR/\}\$JOBNAME\.sh\.parallel\.log"', "LOG", text)
    text = text.replace('"$JOBNAME.sh.parallel.log"', "LOG")
    text = re.sub(r"\$\{SCRIPT_DIR:\+\$SCRIPT_DIR/\}cmd_\$\w+\.sh", "FILE", text)
    text = text.replace("$HOSTFILE", "HOSTS").replace("$SSHLOGINFILE", "HOSTS")
    text = text.replace('"$PFILE"', "LIST").replace("$PFILE", "LIST")
    text = re.sub(r"\w+_EOF", "EOF", text)
    # numbers where the original has variables of the same value
    text = text.replace("$CORES_PER_BLOCK", "$((NODES * CORES / WORKERCOUNT))")
    text = text.replace("$NODES_PER_BLOCK", "$((NODES / WORKERCOUNT))")
    return text


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("launcher", LAUNCHERS, ids=name_of)
def test_launcher(program, folder, launcher, nodes):
    options = {"type": "PBSProProvider", "launcher": launcher, "nodes_per_block": nodes}
    script, _, _ = ours(program, folder / "ours", options)
    _, mine = split_at_job_name(normal(script, folder / "ours"))
    text = original_launcher(launcher)(COMMAND, 1, nodes, str(folder / "theirs" / "submit_scripts"))
    text = re.sub(r"\\\n\s*", "", text)
    his = normal(text, folder / "theirs")
    assert same_names(essential(mine)).splitlines() == same_names(essential(his)).splitlines()
