"""Every option of an engine has its effect, or a warning at the start says that it has none.

TABLE walks through engines.md: option, a value, and how its effect is seen.  `test_no_option_is_missing`
compares the table with what the user endpoint itself says it knows."""

import http.server
import re
import threading

import pytest
from uep import LOCAL, POOL

GCE, MPI, PROCESSES, THREADS = "GlobusComputeEngine", "GlobusMPIEngine", "ProcessPoolEngine", "ThreadPoolEngine"
SIMPLE = "provider: {type: LocalProvider, init_blocks: 0, launcher: {type: SimpleLauncher}}"
# Kinds of proof: a word of the warning; or where a test shows the effect ("file: test").
UNUSED = {
    "interchange_launch_cmd": "[a, b]", "interchange_port_range": "[1, 2]", "loopback_address": "127.0.0.2",
    "poll_period": "7", "storage_access": "[x]", "remote_monitoring_radio": "{}",
}
PROVED = {
    "label": "submit_scripts: names", "max_retries_on_system_failure": "test_failures", "working_dir": "node/",
    "allowed_serializers": "node/", "run_in_sandbox": "node/", "encrypted": "lib/link", "strategy": "blocks_test",
    "job_status_kwargs": "blocks_test", "container_type": "test_launchers", "container_uri": "test_launchers",
    "container_cmd_options": "test_launchers", "provider": "providers/", "address": "here", "worker_port": "here",
    "worker_port_range": "here", "prefetch_capacity": "node/", "heartbeat_period": "lib/link",
    "heartbeat_threshold": "lib/link", "drain_period": "node/", "address_probe_timeout": "here",
    "worker_logdir_root": "here", "worker_debug": "here", "block_error_handler": "blocks_test", "launch_cmd": "here",
    "cores_per_worker": "node/", "mem_per_worker": "node/", "max_workers_per_node": "node/", "max_workers": "here",
    "cpu_affinity": "node/", "available_accelerators": "node/", "enable_mpi_mode": "test_start",
    "mpi_launcher": "node/", "max_workers_per_block": "node/", "max_tasks_per_child": "here", "python": "node/",
    "thread_name_prefix": "here",
}


def variable(name):
    import os

    return os.environ.get(name)


def parent():
    import os

    return os.getppid()


def me():
    import os

    return os.getpid()


def speak(text):
    import os

    print(text, flush=True)
    os.write(2, b"err " + text.encode() + b"\n")


def known(cloud, engine):
    uep = cloud.start(f"engine: {{type: {engine}, nonsense_: 1}}", name=f"of-{engine}")
    assert uep.wait() == 1
    return set(re.search(r"known are ([a-z_, ]+)", cloud.beat()["error"])[1].split(", "))


def test_no_option_is_missing(cloud):
    options = set().union(*(known(cloud, engine) for engine in (GCE, MPI, PROCESSES, THREADS)))
    assert options == set(UNUSED) | set(PROVED)


@pytest.mark.parametrize("engine", [GCE, MPI])
def test_what_has_no_effect_is_named(cloud, engine):
    lines = "\n".join(f"  {option}: {value}" for option, value in UNUSED.items())
    uep = cloud.start(f"engine:\n  type: {engine}\n{lines}\n  {SIMPLE}\n")
    cloud.beat()
    log = uep.log()
    for option in UNUSED:
        assert len(re.findall(rf"WARNING .*engine option {option} has no effect: ", log)) == 1, log
    uep.stop()


def test_nothing_is_named_without_need(cloud):
    uep = cloud.start(LOCAL)
    cloud.beat()
    assert "has no effect" not in uep.log()
    uep.stop()


@pytest.mark.parametrize("provider, option", [
    ("{type: SlurmProvider, init_blocks: 0, move_files: true}", "move_files"),
    ("{type: LocalProvider, init_blocks: 0, move_files: true}", "move_files"),
    ('{type: CondorProvider, init_blocks: 0, walltime: "01:00:00"}', "walltime")])
def test_providers_options_without_effect(cloud, provider, option):
    uep = cloud.start(f"engine: {{type: {GCE}, provider: {provider}}}")
    cloud.beat()
    assert f"provider option {option} has no effect: " in uep.log()
    uep.stop()


def test_thread_name_prefix(cloud):
    uep = cloud.start(f"engine: {{type: {THREADS}, max_workers: 1, thread_name_prefix: x}}")
    cloud.beat()
    assert "engine option thread_name_prefix has no effect" in uep.log()
    uep.stop()


def test_old_name_of_max_workers(cloud):
    uep = cloud.start(LOCAL.replace("max_workers_per_node", "max_workers"))
    cloud.beat()
    assert "engine option max_workers is called max_workers_per_node now" in uep.log()
    assert cloud.result(cloud.submit(variable, "PARSL_WORKER_COUNT")) == "2"
    uep.stop()


# ---- launch_cmd ----


def test_launch_cmd_wraps_our_agent(cloud):
    command = ("env WRAPPED=yes NODES={nodes_per_block} process_worker_pool.py {debug} {max_workers_per_node} "
               "-a {addresses} -p {prefetch_capacity} -c 2 --block_id={{block_id}}")
    uep = cloud.start(LOCAL.replace("provider:", f'launch_cmd: "{command}"\n  provider:'))
    assert cloud.result(cloud.submit(variable, "WRAPPED")) == "yes"
    assert cloud.result(cloud.submit(variable, "NODES")) == "1"
    assert cloud.result(cloud.submit(variable, "PARSL_WORKER_BLOCK_ID")) == "0"
    assert "WARNING" in uep.log() and "launch_cmd: -c 2 has no effect" in uep.log()
    uep.stop()


@pytest.mark.parametrize("command, text", [
    ("process_worker_pool.py {task_url}", "unknown placeholder {task_url}; known are debug "),
    ("sleep 5", "starts neither process_worker_pool.py nor {command}")])
def test_launch_cmd_that_cannot_work(cloud, command, text):
    uep = cloud.start(f'engine: {{type: {GCE}, launch_cmd: "{command}"}}')
    assert uep.wait() == 1
    assert text in cloud.beat()["error"]


# ---- addresses and ports ----


@pytest.fixture
def outside():
    """outside(answer, status): the URL of a server that tells addresses; .seen are its requests."""
    servers = []

    def make(answer, status=200):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                servers[-1].seen.append(self.path)
                if answer is None:
                    threading.Event().wait(8)
                    return
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_):
                pass

        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        servers[-1].seen = []
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1]

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def asks(server, more=""):
    config = LOCAL.replace("provider:", f"address: {{type: address_by_query{more}}}\n  provider:")
    return {"config": config,
            "env": {"SALLYPORT_ADDRESS_QUERY_URL": f"http://127.0.0.1:{server.server_address[1]}/me"}}


def test_address_by_query(cloud, outside):
    server = outside("127.0.0.1\n")
    uep = cloud.start(**asks(server))
    assert cloud.result(cloud.submit(variable, "PARSL_WORKER_COUNT")) == "2"
    assert server.seen == ["/me"]
    assert "waiting for node agents on 127.0.0.1 port" in uep.log()
    uep.stop()


@pytest.mark.parametrize("answer, status", [("not here", 200), ("127.0.0.1", 503), ("<html>" * 200, 200), ("", 200),
                                            (None, 200)])
def test_address_by_query_without_an_answer(cloud, outside, answer, status):
    uep = cloud.start(**asks(outside(answer, status), ", timeout: 1"))
    assert uep.wait() == 1
    error = cloud.beat()["error"]
    assert "address_by_query: http://127.0.0.1:" in error and "use address_by_interface or address_by_route" in error


def test_nobody_is_asked_unless_told_to(cloud, outside):
    server = outside("127.0.0.1")
    uep = cloud.start(f"engine: {{type: {GCE}, provider: {{type: SlurmProvider, init_blocks: 0}}}}", env=asks(server)["env"])
    cloud.beat()
    assert server.seen == []
    uep.stop()


def test_ports(cloud):
    for given, wanted in (("worker_port: 53211", range(53211, 53212)), ("worker_port_range: [53300, 53320]", range(53300, 53321))):
        uep = cloud.start(LOCAL.replace("provider:", f"{given}\n  provider:"), name=f"uep-{wanted[0]}")
        assert cloud.result(cloud.submit(parent))
        port = int(re.search(r"waiting for node agents on \S+ port (\d+)", uep.log())[1])
        assert port in wanted
        uep.stop()


def test_logs_where_they_are_asked_for(cloud):
    logs = cloud.folder / "logs"
    more = f"worker_logdir_root: {logs}\n  worker_debug: true\n  address_probe_timeout: 7\n  label: a b;c\n  provider:"
    uep = cloud.start(LOCAL.replace("provider:", more))
    assert cloud.result(cloud.submit(parent))
    scripts = list((uep.dir / "submit_scripts").iterdir())
    assert all("parsl.a_b_c-HighThroughputExecutor.block-0." in s.name for s in scripts)
    text = "".join(s.read_text() for s in scripts)
    assert "--probe-timeout 7" in text and "--debug" in text
    assert list(logs.glob("a_b_c-HighThroughputExecutor/block-0/*.log"))
    uep.stop()


# ---- pools ----


@pytest.mark.parametrize("engine", [PROCESSES, THREADS])
def test_what_pools_print_is_in_the_endpoints_log(cloud, engine):
    uep = cloud.start(f"engine: {{type: {engine}, max_workers: 1}}")
    cloud.result(cloud.submit(speak, "hello from the pool"))
    log = (uep.dir / "endpoint.log").read_text()
    assert "\nhello from the pool\n" in log and "\nerr hello from the pool\n" in log
    for file in (uep.dir / "submit_scripts").iterdir():
        assert "hello" not in file.read_text()
    uep.stop()


def test_what_blocks_print_is_in_their_own_files(cloud):
    uep = cloud.start(LOCAL)
    cloud.result(cloud.submit(speak, "hello from the block"))
    assert any("hello from the block" in f.read_text() for f in (uep.dir / "submit_scripts").glob("*.out"))
    assert "hello from" not in (uep.dir / "endpoint.log").read_text()
    uep.stop()


def test_max_tasks_per_child(cloud):
    uep = cloud.start(f"engine: {{type: {PROCESSES}, max_workers: 1, max_tasks_per_child: 2}}")
    pids = [cloud.result(cloud.submit(me)) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]
    uep.stop()
