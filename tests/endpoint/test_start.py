"""Starting: directory, document, configuration, PID file; each failure reported once (U1-U8, U35, U37)."""

import json
import os
import stat
import subprocess
import time

import pytest
from support.process import wait_for
from uep import LOCAL, POOL


def run(prefix, folder, name, text):
    return subprocess.run([prefix / "libexec" / "sallyport" / "user-endpoint", name], input=text,
                          capture_output=True, text=True, timeout=20,
                          env={"HOME": str(folder), "PATH": "/usr/bin:/bin"})


def test_an_unknown_name(prefix, folder):
    done = run(prefix, folder, "nobody", "{}")
    assert done.returncode == 1
    assert f"Failed to find endpoint configuration ({folder}/.globus_compute/nobody)" in done.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"config": "x"}', '{"ep_info": {}}',
                                  '{"ep_info": [], "config": "x"}', '{"ep_info": {}, "config": 3}',
                                  '{"ep_info": {}, "config": "x", "mem_fd": "3"}'])
def test_an_invalid_document(prefix, folder, text):
    (folder / ".globus_compute" / "e").mkdir(parents=True)
    done = run(prefix, folder, "e", text)
    assert done.returncode == 1
    assert "Missing or invalid endpoint information from stdin. (Hint:" in done.stderr


ENGINE = "engine: {type: GlobusComputeEngine, %s}"
FAILURES = [
    ("engine: [", "ClickException", "Invalid config syntax: "),
    ("- 1", "ClickException", "Invalid config syntax: "),
    ("", "ClickException", "Invalid config syntax: "),
    ("heartbeat_period: 9", "ClickException", "Configuration for endpoint uep is missing an `engine` field"),
    ("engine: {type: FooEngine}", "ClickException", "'FooEngine' is not a valid engine. Valid options are:"),
    ("engine: {type: HighThroughputEngine}", "ClickException", "GlobusComputeEngine"),
    (ENGINE % "foo: 1", "ClickException", "got an unexpected keyword argument 'foo'"),
    (ENGINE % 'max_workers_per_node: "4"', "ClickException", "max_workers_per_node must be a whole number"),
    (ENGINE % "encrypted: 1", "ClickException", "encrypted must be true or false"),
    (ENGINE % "provider: LocalProvider", "ClickException", "provider"),
    (ENGINE % "provider: {type: BogusProvider}", "ClickException", "BogusProvider"),
    (ENGINE % "provider: {type: LocalProvider, walltime: 1:00:00}", "ClickException", "walltime"),
    (ENGINE % "provider: {type: LocalProvider, launcher: SrunLauncher}", "ClickException", "launcher"),
    (ENGINE % "strategy: bogus", "ClickException", "simple, htex_auto_scale, none"),
    (ENGINE % "strategy: {type: SimpleStrategy, foo: 1}", "ClickException", "max_idletime"),
    (ENGINE % "job_status_kwargs: {foo: 1}", "ClickException", "job_status_kwargs"),
    (ENGINE % "address: {type: address_by_interface, ifname: nope0}", "ClickException", "[Errno 19] No such device"),
    (ENGINE % "cpu_affinity: bogus", "ClickException", "cpu_affinity"),
    (ENGINE % "container_type: custom", "ClickException", "container_cmd_options is required"),
    (ENGINE % "mpi_launcher: srun", "ClickException", "Use GlobusMPIEngine instead."),
    ("engine: {type: GlobusMPIEngine}", "ClickException", "SimpleLauncher"),
    (POOL + "idle_heartbeats_soft: 2.5", "ClickException", "idle_heartbeats_soft must be a whole number"),
    (POOL + "idle_heartbeats_soft:", "ClickException", "idle_heartbeats_soft"),
    (POOL + "nonsense: 1", "ClickException", "nonsense"),
    (POOL + "allowed_functions: [x]", "ClickException", "allowed_functions"),
    (POOL + "endpoint_setup: exit 3", "SystemExit", "78"),
    ("high_assurance: true\n" + ENGINE % "encrypted: false", "ValueError", "High Assurance"),
]


@pytest.mark.parametrize("config,error_class,text", FAILURES, ids=[f[0][-40:] for f in FAILURES])
def test_one_report_of_a_failed_start(cloud, config, error_class, text):
    uep = cloud.start(config)
    assert uep.wait() == (78 if "endpoint_setup" in config else 1)
    state = cloud.beat()
    assert set(state) == {"error", "heartbeat_period"} and state["heartbeat_period"] == 3
    assert state["error"].startswith(f"Failed to start or unexpected error:\n  ({error_class}) ")
    assert text in state["error"]
    time.sleep(0.2)
    assert cloud.beats.empty()
    assert not (uep.dir / "daemon.pid").exists()


@pytest.mark.parametrize("change,code", [
    ({"endpoint_id": ...}, 65), ({"task_queue_info": ...}, 65), ({"result_queue_info": ...}, 65)])
def test_credentials_that_lack_something(cloud, change, code):
    creds = {**cloud.creds(), **change}
    uep = cloud.start(POOL, document={"amqp_creds": {k: v for k, v in creds.items() if v is not ...}})
    assert uep.wait() == code
    if "endpoint_id" not in change:
        assert f"(SystemExit) {code}" in cloud.beat()["error"]


def test_another_endpoints_credentials(cloud):
    other = "11111111-2222-4333-8444-555555555555"
    assert cloud.start(POOL, name=other).wait() == 70
    assert "(SystemExit) 70" in cloud.beat()["error"]


def test_setup_runs_before_anything_connects(cloud):
    uep = cloud.start(POOL + f"endpoint_setup: touch {cloud.folder}/setup; test ! -e {cloud.folder}/compute/uep/endpoint.json\n"
                      f"endpoint_teardown: touch {cloud.folder}/teardown\n")
    assert cloud.beat()["active"]
    assert (cloud.folder / "setup").exists() and not (cloud.folder / "teardown").exists()
    assert uep.stop() == 0
    assert (cloud.folder / "teardown").exists()


def test_old_keys_are_ignored_with_a_warning(cloud):
    uep = cloud.start(POOL + "multi_user: false\nlog_dir: /x\nfuncx_service_address: http://x\n")
    cloud.beat()
    assert "the key multi_user has no meaning" in uep.log()
    uep.stop()


def test_the_seeds_strategy_and_a_bare_walltime(cloud):
    uep = cloud.start("""
engine:
  type: GlobusComputeEngine
  address: {type: address_by_interface, ifname: lo}
  strategy: {type: SimpleStrategy, max_idletime: 30}
  provider:
    type: PBSProProvider
    queue: debug-scaling
    account: "account_a"
    worker_init:
    init_blocks: 0
    min_blocks: 0
    max_blocks: 1
    nodes_per_block: 1
    walltime: 1:00:00
    launcher: {type: MpiExecLauncher}
idle_heartbeats_soft: 10
idle_heartbeats_hard: 5760
display_name: Polaris at ALCF - debug-scaling queue
""")
    state = cloud.beat()
    assert state["provider_type"] == "PBSProProvider"
    assert state["queue"] == "debug-scaling" and state["account"] == "account_a"
    assert uep.stop() == 0


def test_pid_file(cloud):
    uep = cloud.start(POOL)
    cloud.beat()
    path = uep.dir / "daemon.pid"
    assert path.read_text() == f"{uep.process.pid}\n"
    first = path.stat().st_mtime
    wait_for("a touch", lambda: path.stat().st_mtime > first, 20)
    second = cloud.start(POOL)
    assert second.wait() == 73
    while "error" not in (state := cloud.beat()):
        pass
    assert "Another instance of this endpoint is running." in state["error"]
    path.unlink()
    assert uep.wait(15) == 0
    assert not path.exists()


def test_a_foreign_pid_file(cloud):
    path = cloud.folder / "compute" / "uep" / "daemon.pid"
    path.parent.mkdir(parents=True)
    path.write_text("1\n")
    assert cloud.start(POOL).wait() == 73
    assert "(MessageSystemExit) " in cloud.beat()["error"]
    old = time.time() - 100
    os.utime(path, (old, old))
    uep = cloud.start(POOL)
    assert cloud.beat()["active"]
    assert uep.stop() == 0


def test_a_crashed_life_does_not_stop_the_next(cloud):
    cloud.start(POOL)
    cloud.beat()
    cloud.ueps[0].kill()
    uep = cloud.start(POOL)
    assert cloud.beat()["active"]
    assert uep.stop() == 0


def test_files(cloud):
    uep = cloud.start()
    cloud.result(cloud.submit(lambda: 1))
    assert json.loads((uep.dir / "endpoint.json").read_text()) == {"endpoint_id": cloud.id}
    wide = [str(p) for p in uep.dir.rglob("*") if stat.S_IMODE(p.lstat().st_mode) & 0o077
            and not p.is_symlink() and p.name != "tasks_working_dir"]
    assert wide == []
    command = open(f"/proc/{uep.process.pid}/cmdline", "rb").read().rstrip(b"\0").decode()
    assert command.startswith(f"Globus Compute Endpoint ({cloud.id}, uep) [")
    assert uep.stop() == 0


def test_no_credentials_anywhere(cloud):
    password = cloud.url.split(":")[2].split("@")[0]
    uep = cloud.start(LOCAL, argv=["--debug"])
    cloud.result(cloud.submit(lambda: 1))
    command = open(f"/proc/{uep.process.pid}/cmdline").read()
    uep.stop()
    assert password not in command
    for path in uep.dir.rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes(), path
