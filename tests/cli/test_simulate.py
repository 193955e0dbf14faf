"""simulate: what a start request would come to, up to the batch script, and nothing is made."""

import json

import pytest

from configured import Site, ids

LOCAL = "engine: {type: GlobusComputeEngine, provider: {type: LocalProvider}}\n"
SLURM = """
engine:
  type: GlobusComputeEngine
  address: 10.0.0.1
  max_workers_per_node: 4
  provider:
    type: SlurmProvider
    partition: debug
    account: {{ account_id }}
    walltime: 1:30:00
    nodes_per_block: 2
    max_blocks: 3
    max_jobs_per_hour: 20
    launcher: {type: SrunLauncher}
idle_heartbeats_soft: 10
idle_heartbeats_hard: 5760
# {{ _GC.mapped_identity.local.uname }}
"""
SCHEMA = json.dumps({"type": "object", "properties": {"account_id": {"type": "string"}}})


@pytest.fixture
def site(prefix, folder):
    made = Site(prefix, folder)
    made.write("user_config_template.yaml.j2", SLURM)
    made.write("user_config_schema.json", SCHEMA)
    made.write("user_environment.yaml", "SITE: blue\n")
    return made


@pytest.fixture
def ada(accounts):
    return accounts.get("ada")


def simulate(site, who, options='{"account_id": "a-1"}', *more):
    path = site.folder / "options.json"
    path.write_text(options)
    return site("simulate", "site", "--identities", "-", "--options", path, *more, stdin=ids(who))


def test_as_json(site, ada):
    done = simulate(site, f"{ada.name}@example.org", '{"account_id": "a: b"}', "--json")
    assert done.returncode == 0, done
    answer = json.loads(done.stdout)
    assert answer["username"] == ada.name and answer["account"]["accepted"] is True
    start = answer["start"]
    assert 'account: "a: b"\n' in start["config"] and f"# {ada.name}" in start["config"]
    assert start["environment"]["SITE"] == "blue" and start["environment"]["USER"] == ada.name
    home = f"{ada.home}/.globus_compute/simulated"
    assert start["environment"]["GLOBUS_COMPUTE_ENDPOINT_DIR"] == home
    assert start["program"].endswith("/globus-compute-endpoint")
    submission = start["submission"]
    assert submission["provider"] == "SlurmProvider" and submission["launcher"] == "SrunLauncher"
    script = submission["script"].splitlines()
    assert script[0] == "#!/bin/bash"
    assert {"#SBATCH --nodes=2", "#SBATCH --time=90", "#SBATCH --partition=debug",
            "#SBATCH --account=a: b"} <= set(script)
    assert any("node-agent --addresses 10.0.0.1 " in line for line in script)
    assert submission["command"] == f"sbatch {submission['path']}"
    assert submission["path"].startswith(home + "/submit_scripts/")
    assert submission["limits"] == {
        "init_blocks": 1, "min_blocks": 0, "max_blocks": 3, "nodes_per_block": 2, "slots_per_node": 4,
        "jobs_per_hour": 20, "failures_in_a_row": 5, "walltime_s": 5400}
    assert submission["idle"] == {"soft_s": 300, "hard_s": 172800}
    assert answer["limits"]["max_user_endpoints_per_user"] == 0
    assert not list(ada.home.glob(".globus_compute")), "something was made"


def test_as_text(site, ada):
    site.write("config.yaml", "email: a@b\nidentity_mapping_config_path: map.json\n"
                              "sallyport: {max_user_endpoints_per_user: 7}\n", 0o600)
    done = simulate(site, f"{ada.name}@example.org")
    assert done.returncode == 0, done
    squeezed = " ".join(done.stdout.split())
    for part in ("  SITE=blue\n", "\nConfiguration:\n", "\n#SBATCH --partition=debug\n", "\nSubmitted with: sbatch "):
        assert part in done.stdout
    for part in ("user endpoints of one user 7", "user endpoints on this host no limit", "jobs an hour 20",
                 "leaves when idle after 300 s", "blocks (jobs at the same time) 1 at first, 0 to 3",
                 "walltime of a block 5400 s", "size of the options, of the template 1048576 bytes"):
        assert part in squeezed, done.stdout


def test_local(site, ada):
    site.write("user_config_template.yaml.j2", LOCAL)
    done = simulate(site, f"{ada.name}@example.org", "{}", "--json")
    submission = json.loads(done.stdout)["start"]["submission"]
    assert submission["provider"] == "LocalProvider" and submission["idle"] is None
    assert submission["limits"]["walltime_s"] is None
    assert "/node-agent --addresses 127.0.0.1 " in submission["script"]


def test_another_program(site, ada):
    """A site may point at the Python package: then the script is ours, and that is said."""
    other = site.folder / "bin"
    other.mkdir(mode=0o755)
    (other / "globus-compute-endpoint").write_text("#!/bin/sh\n")
    (other / "globus-compute-endpoint").chmod(0o755)
    site.write("user_environment.yaml", f"PATH: {other}:/usr/bin:/bin\n")
    done = simulate(site, f"{ada.name}@example.org")
    assert done.returncode == 0 and "Note: the program above is not the one of this installation" in done.stdout


@pytest.mark.parametrize("template, options, text", [
    (SLURM, '{"account_id": 5}', "It would not start: exit code 77; (ValidationError) 5 is not of type 'string'"),
    ("engine: [", "{}", "It would not start: exit code 79; (YAMLError)"),
    ("engine: {type: NoEngine}", "{}", "would not accept this configuration: 'NoEngine' is not a valid engine"),
    ("engine: {type: GlobusComputeEngine, provider: {type: SlurmProvider, walltime: soon}}", "{}",
     "would not accept this configuration: "),
    ("display_name: x", "{}", "would not accept this configuration: "),
])
def test_refused(site, ada, template, options, text):
    site.write("user_config_template.yaml.j2", template)
    done = simulate(site, f"{ada.name}@example.org", options)
    assert done.returncode == 1 and text in done.stdout, done


def test_nobody(site):
    done = simulate(site, "root@example.org")
    assert done.returncode == 1 and "Account root: refused" in done.stdout
    done = simulate(site, "x@elsewhere.org")
    assert done.returncode == 1 and "Decision: no rule matches" in done.stdout
