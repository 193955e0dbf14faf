"""Launchers with the real programs: mpiexec and mpirun of Open MPI and MPICH, GNU parallel, bash.

The "nodes" are names in a node file; a remote shell that stays on this machine stands for ssh."""

import os
import pathlib
import shutil
import subprocess

import pytest

from support.process import wait_for

ROOT_OVERRIDES = {"openmpi": "--allow-run-as-root --oversubscribe", "mpich": ""}


@pytest.fixture
def tools(folder):
    """A folder in front of PATH, with an ssh that drops options and the host's name and sets SHELL,
    as a real one does: GNU parallel counts on it."""
    bin = folder / "bin"
    bin.mkdir()
    (bin / "ssh").write_text("#!/bin/sh\nwhile [ \"${1#-}\" != \"$1\" ]; do\n"
                             "    case $1 in -l | -p | -o) shift ;; esac\n    shift\ndone\n"
                             f"echo \"$1\" >> {folder}/hosts\nshift\n[ \"$1\" != -- ] || shift\n"
                             "export SHELL=/bin/bash\nexec sh -c \"$*\"\n")
    (bin / "ssh").chmod(0o755)
    return bin


class Run:
    """One LocalProvider block with the launcher; the command notes that it ran."""

    def __init__(self, drive, folder, bin, launcher, nodes, command="", init=""):
        self.folder, self.seen = folder, folder / "seen"
        nodefile = folder / "nodefile"
        nodefile.write_text("".join(f"node{i % nodes + 1}\n" for i in range(nodes * 4)))
        home = folder / "home"
        home.mkdir(exist_ok=True)
        start = (f"cd {home}; export HOME={home} PATH={bin}:$PATH PBS_NODEFILE={nodefile}\n"
                 "export OMPI_MCA_plm_rsh_agent=ssh HYDRA_LAUNCHER=ssh PARALLEL_SSH=ssh\n"
                 "unset SLURM_CONF\n" + init)
        self.drive = drive({"type": "LocalProvider", "launcher": launcher, "nodes_per_block": nodes,
                            "worker_init": start}, max_idletime_s=600, error_handler=False,
                           command=f"echo up >> {self.seen}; " + (command or "sleep 600"))
        self.home = home

    def copies(self):
        return self.seen.read_text().count("up") if self.seen.exists() else 0

    def wait_copies(self, n):
        try:
            wait_for(f"{n} copies", lambda: self.copies() == n, 40)
        except AssertionError as e:
            raise AssertionError(f"{e}, but {self.copies()}: {self.errors()}") from None

    def errors(self):
        return "\n".join(p.read_text()[-3000:] for p in self.scripts() if p.suffix in (".err", ".out"))

    def scripts(self):
        return sorted((self.drive.dir / "submit_scripts").iterdir())

    def exit_code(self):
        path = next(p for p in self.scripts() if p.suffix == ".ec")
        return path.read_text().strip()

    def end(self):
        self.drive.down()
        litter = [p.name for p in self.home.iterdir() if not p.name.startswith(".")]
        assert litter == []


def use(bin, name, program):
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    (bin / name).write_text(f"#!/bin/sh\nexec {path} \"$@\"\n")  # it looks for its parts beside itself
    (bin / name).chmod(0o755)


@pytest.mark.parametrize("nodes", [1, 2, 3])
@pytest.mark.parametrize("kind", ["openmpi", "mpich"])
def test_mpiexec(drive, folder, tools, kind, nodes):
    use(tools, "mpiexec", f"mpiexec.{kind}")
    run = Run(drive, folder, tools, {"type": "MpiExecLauncher", "overrides": ROOT_OVERRIDES[kind]},
              nodes)
    run.wait_copies(nodes)
    hosts = (folder / "hosts").read_text().split()
    assert set(hosts) == {f"node{i + 1}" for i in range(nodes)}
    assert len(hosts) == nodes  # each node once, though the node file has it four times
    run.end()


@pytest.mark.parametrize("kind", ["openmpi", "mpich"])
def test_mpiexec_failure(drive, folder, tools, kind):
    use(tools, "mpiexec", f"mpiexec.{kind}")
    run = Run(drive, folder, tools, {"type": "MpiExecLauncher", "overrides": ROOT_OVERRIDES[kind]}, 1,
              command="exit 3")
    run.drive.expect("ended", 40)
    assert run.exit_code() == "3"
    assert not [p for p in run.scripts() if p.suffix == ".nodes"]
    run.end()


@pytest.mark.parametrize("kind", ["openmpi", "mpich"])
def test_mpiexec_end(drive, folder, tools, kind):
    use(tools, "mpiexec", f"mpiexec.{kind}")
    run = Run(drive, folder, tools, {"type": "MpiExecLauncher", "overrides": ROOT_OVERRIDES[kind]}, 2,
              command="sleep 0.3")
    run.drive.expect("ended", 40)
    assert run.exit_code() == "0", run.errors()
    assert not [p for p in run.scripts() if p.suffix == ".nodes"]
    run.end()


@pytest.mark.parametrize("kind", ["openmpi", "mpich"])
def test_mpirun(drive, folder, tools, kind):
    use(tools, "mpirun", f"mpirun.{kind}")
    run = Run(drive, folder, tools, {"type": "MpiRunLauncher", "overrides": ROOT_OVERRIDES[kind]}, 2)
    run.wait_copies(2)
    run.end()


@pytest.mark.parametrize("nodes", [1, 2])
def test_parallel(drive, folder, tools, nodes):
    if shutil.which("parallel") is None:
        pytest.skip("parallel is not installed")
    home = folder / "home"
    (home / ".parallel").mkdir(parents=True)
    subprocess.run(["parallel", "--record-env"], env=os.environ | {"HOME": str(home)}, timeout=30,
                   check=True, capture_output=True)
    run = Run(drive, folder, tools, {"type": "GnuParallelLauncher"}, nodes)
    run.wait_copies(nodes)
    assert {h.split("@")[-1] for h in (folder / "hosts").read_text().split()} == \
        {f"node{i + 1}" for i in range(nodes)}
    run.end()


@pytest.mark.parametrize("name", ["aprun", "jsrun"])
def test_cray_and_ibm(drive, folder, tools, name):
    (tools / name).symlink_to(pathlib.Path(__file__).parent / "doubles" / name)
    run = Run(drive, folder, tools, {"type": f"{name.capitalize()}Launcher"}, 3)
    run.wait_copies(3)
    run.end()


@pytest.mark.parametrize("any_counts, code", [(False, "0"), (True, "1")])
def test_single_node(drive, folder, tools, any_counts, code):
    """Three copies, one of which fails."""
    run = Run(drive, folder, tools, {"type": "SingleNodeLauncher", "fail_on_any": any_counts}, 3,
              command="test $1 != 2 || exit 4; sleep 0.2")
    run.wait_copies(3)
    run.drive.expect("ended", 20)
    assert run.exit_code() == code
    run.end()


def test_single_node_all_fail(drive, folder, tools):
    run = Run(drive, folder, tools, {"type": "SingleNodeLauncher"}, 2, command="exit 4")
    run.drive.expect("ended", 20)
    assert run.exit_code() == "1"
    run.end()


def test_simple_and_wrapped(drive, folder, tools):
    run = Run(drive, folder, tools, {"type": "SimpleLauncher"}, 2)
    run.wait_copies(1)
    run.end()
    (folder / "seen").unlink()
    run = Run(lambda *a, **k: drive(*a, dir=folder / "second", **k), folder, tools,
              {"type": "WrappedLauncher", "prepend": "env HELLO=1"}, 1)
    run.drive.wait_states(["RUNNING"])
    text = next(p for p in run.scripts() if p.suffix == ".sh").read_text()
    assert f"\nenv HELLO=1 echo up >> {run.seen}; sleep 600\n" in text
    run.end()
