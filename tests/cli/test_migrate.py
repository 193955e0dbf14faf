"""migrate-to-template-capable: the keys of an old config.yaml find their new places."""

import pytest
import yaml

OLD = """
display_name: My old endpoint
admins:
- 5f0c7b1e-5ad4-4e0d-9c55-7a1b64a1d0aa
amqp_port: 443
heartbeat_period: 20
idle_heartbeats_soft: 5
engine:
  type: GlobusComputeEngine
  max_workers_per_node: 3
  address:
    type: address_by_interface
    ifname: lo
  provider:
    type: SlurmProvider
    partition: debug
    walltime: 01:30:00
    scheduler_options: "#SBATCH -C gpu"
    worker_init: |
      module load python
      source env/bin/activate
"""


def files(folder):
    return {path.name: yaml.safe_load(path.read_text()) for path in folder.iterdir()
            if path.name.startswith(("config", "user_config_template"))}


def test_keys_are_split_alike(both, ours, original):
    folders = [program.endpoint("ep", config=OLD) for program in (ours, original)]
    said = both("migrate-to-template-capable", "ep", stdin="y\n")
    assert said.code == 0
    assert "> Are you sure you want to migrate endpoint 'ep' to be template capable?" in said.out
    assert files(folders[0]) == files(folders[1])
    assert set(files(folders[0])) == {"config.yaml", "config.yaml.backup", "user_config_template.yaml.j2"}
    assert (folders[0] / "config.yaml.backup").read_text() == OLD
    assert all(path.stat().st_mode & 0o077 == 0 for path in folders[0].glob("[cu]*[l2]"))


def test_twice(both, ours, original):
    for program in (ours, original):
        program.endpoint("ep", config=OLD)
    assert both("migrate-to-template-capable", "--yes", "ep").code == 0
    said = both("migrate-to-template-capable", "--yes", "ep")
    assert said.code == 1 and "already template capable" in said.err


def test_running_or_backed_up_already(both, ours, original):
    for program in (ours, original):
        program.endpoint("running", config=OLD, pid_age=1)
        (program.endpoint("done", config=OLD) / "config.yaml.backup").write_text("x")
    assert both("migrate-to-template-capable", "--yes", "running").code == 1
    said = both("migrate-to-template-capable", "--yes", "done")
    assert said.code == 1 and "but the latter already exists" in said.err
    assert (ours.base / "done" / "config.yaml").read_text() == OLD


def test_not_without_a_yes(both, ours, original):
    for program in (ours, original):
        program.endpoint("ep", config=OLD)
    assert both("migrate-to-template-capable", "ep", stdin="n\n").code == 1


@pytest.mark.parametrize("text", ["n=${#list[@]}", "echo {{ x }}", "{% if %}"])
def test_what_looks_like_jinja_stays_text(ours, text):
    """The original writes it as it is, and the endpoint can't render its template."""
    import jinja2

    folder = ours.endpoint("ep", config=yaml.safe_dump({"engine": {"type": "E", "worker_init": text}}))
    assert ours("migrate-to-template-capable", "--yes", "ep").code == 0
    rendered = jinja2.Template((folder / "user_config_template.yaml.j2").read_text()).render()
    assert yaml.safe_load(rendered)["engine"]["worker_init"] == text
