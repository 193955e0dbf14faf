"""Generated options of providers and launchers: the batch script and the command line are those of the
original's providers.  tests/providers/test_scripts.py has the listed cases and makes both sides."""

import pathlib
import shutil
import sys
import tempfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("parsl", reason="the original is not installed for this Python")

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "providers"))
import test_scripts as listed  # noqa: E402
from harness import drive_program  # noqa: E402

from support.long import ALL  # noqa: E402

WORDS = st.text("abcXYZ019_-", min_size=1, max_size=8)
LINES = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20), max_size=3).map("\n".join)
NODES = st.integers(1, 5)
# Seconds are rounded up, and no time at all is a minute: docs/differences-batch.md.
TIMES = st.integers(1, 99 * 60).map(lambda minutes: f"{minutes // 60:02}:{minutes % 60:02}:00")


def optional(kind, **more):
    return st.fixed_dictionaries({"type": st.just(kind), "worker_init": LINES, "nodes_per_block": NODES}, optional=more)


def directives(mark):
    return st.lists(WORDS.map(lambda w: f"{mark} --{w}"), max_size=2).map("\n".join)


OPTIONS = st.one_of(
    optional("SlurmProvider", partition=WORDS, account=WORDS, qos=WORDS, constraint=WORDS, gres=WORDS, clusters=WORDS,
             cores_per_node=st.integers(1, 128), mem_per_node=st.integers(1, 512), gpus_per_node=st.integers(1, 8),
             walltime=TIMES, exclusive=st.booleans(), scheduler_options=directives("#SBATCH")),
    optional("PBSProProvider", account=WORDS, queue=WORDS, cpus_per_node=st.integers(1, 128),
             select_options=st.tuples(WORDS, WORDS).map("=".join), walltime=TIMES, scheduler_options=directives("#PBS")),
    optional("TorqueProvider", account=WORDS, queue=WORDS, walltime=TIMES, scheduler_options=directives("#PBS"),
             launcher=st.just({"type": "SingleNodeLauncher"})),
    optional("GridEngineProvider", queue=WORDS, walltime=TIMES, scheduler_options=directives("#$")),
    optional("LSFProvider", project=WORDS, queue=WORDS, walltime=TIMES, scheduler_options=directives("#BSUB"),
             bsub_redirection=st.booleans()),
    optional("CondorProvider", cores_per_slot=st.integers(1, 64), mem_per_slot=st.integers(1, 64), project=WORDS,
             environment=st.dictionaries(st.text("ABC", min_size=1, max_size=3), st.text("abc '\"$", max_size=8),
                                         max_size=2), requirements=WORDS),
)
LAUNCHERS = st.one_of(*[
    st.fixed_dictionaries({"type": st.just(kind)}, optional=more) for kind, more in {
        "SimpleLauncher": {}, "SingleNodeLauncher": {"fail_on_any": st.booleans()}, "GnuParallelLauncher": {},
        "WrappedLauncher": {}, "SrunLauncher": {"overrides": WORDS}, "SrunMPILauncher": {"overrides": WORDS},
        "AprunLauncher": {"overrides": WORDS}, "JsrunLauncher": {"overrides": WORDS},
        "MpiExecLauncher": {"bind_cmd": st.sampled_from(["--cpu-bind", "--bind-to"]), "overrides": WORDS},
        "MpiRunLauncher": {"bash_location": st.sampled_from(["/bin/bash", "/usr/bin/bash"]), "overrides": WORDS},
    }.items()]).map(lambda o: o | {"prepend": "time"} if o["type"] == "WrappedLauncher" else o)

SETTINGS = settings(max_examples=300 if ALL else 40, deadline=None, database=None,
                    derandomize=not ALL,
                    suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def program():
    return drive_program() or pytest.skip("blocks_drive is not built")


def in_a_folder(check, program, *arguments):
    """check(program, folder, ...) with a folder of its own."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-test-", dir="/var/tmp"))
    try:
        check(program, folder, *arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(500)
@SETTINGS
@given(OPTIONS)
def test_scripts(program, options):
    with pytest.MonkeyPatch.context() as patch:
        in_a_folder(listed.test_script_and_command, program, options, patch)


@pytest.mark.timeout(500)
@SETTINGS
@given(LAUNCHERS, NODES)
def test_launchers(program, launcher, nodes):
    in_a_folder(listed.test_launcher, program, launcher, nodes)
