"""`user-endpoint --print-script` prints what the user endpoint then submits: the same configuration to
both, for the templates of conf/examples."""

import json
import re
import subprocess

import yaml
from support.process import wait_for
from test_endpoint import FILES, cloud, config_of, system  # noqa: F401  (fixtures)

import pytest


def plain(text):
    """Without the time in the job's name and the port that was free."""
    return re.sub(r"--port \d+", "--port N", re.sub(r"(block-0)\.\d+\.\d{6}", r"\1.T", text))


def printed(prefix, config, environment):
    done = subprocess.run([prefix / "libexec" / "sallyport" / "user-endpoint", "--print-script", "x"],
                          input=json.dumps({"ep_info": {}, "config": config}), env=environment,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", [*FILES, "local.yaml.j2"])
def test_same_script(prefix, cloud, system, name):  # noqa: F811
    batch = None if name == "local.yaml.j2" else system(name)
    config = config_of(name, init_blocks=1)
    if batch:
        batch.fault("hold")
    environment = {"PATH": batch.path if batch else "/usr/local/bin:/usr/bin:/bin", "USER": "tstu"}
    uep = cloud.start(yaml.safe_dump(config), env=environment)
    scripts = uep.dir / "submit_scripts"

    def submitted():
        return [p for p in scripts.glob("*block-0*") if re.search(r"\.\d{6}(\.submit|\.sh)?$", p.name)]

    wait_for("a script", submitted)
    if batch:
        wait_for("a job", batch.jobs)
    said = printed(prefix, yaml.safe_dump(config),
                   {**environment, "HOME": str(uep.dir.parent), "GLOBUS_COMPUTE_ENDPOINT_DIR": str(uep.dir)})
    path, = submitted()
    mine, theirs = plain(said["script"]), plain(path.read_text())
    # Local blocks watch the process that printed.
    assert re.sub(r"--while-pid \d+", "", mine) == re.sub(r"--while-pid \d+", "", theirs)
    assert plain(said["path"]) == plain(str(path))
    if said["second"]:
        beside, = scripts.glob("*.script")
        assert plain(said["second"]) == plain(beside.read_text())
    if batch:
        command = plain(said["command"]).split()
        assert plain(batch.log()[0]).split()[0] == command[0]
