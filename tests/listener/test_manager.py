"""The whole manager: the command, monitor, listener and session of the installed tree, with a
stand-in for the web service, a real broker and real accounts."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time
import uuid

import pytest

from doubles import Queues, Service, command
from support.process import processes_of, wait_for
from support.sdk import client_environment
from support.stack import Manager

CONFIG = """display_name: null
email: a@example.org
identity_mapping_config_path: {folder}/map.json
heartbeat_period: 5
{more}"""

TEMPLATE = """engine:
  type: GlobusComputeEngine
  provider:
    type: LocalProvider
    init_blocks: 0
    min_blocks: 0
    max_blocks: 1
  max_workers_per_node: {{{{ workers|default(1) }}}}
heartbeat_period: 5
idle_heartbeats_soft: {soft}
idle_heartbeats_hard: {hard}
"""


@pytest.fixture
def whole(prefix, rabbit, folder, accounts):
    """whole(more, ...) configures and starts a manager; all is stopped at the end."""
    started = []

    def start(more="", soft=100, hard=200, mapping=None, prepare=None):
        web = Service(rabbit.url)
        if prepare:
            prepare(web)
        manager = Manager(prefix, folder / f"m{len(started)}",
                          client_environment(web.url, (str(uuid.uuid4()), "secret"), folder))
        started.append((web, manager))
        manager.configure("--multi-user", "true", "--contact-email", "a@example.org")
        where = manager.endpoint_folder
        manager.write("config.yaml", CONFIG.format(folder=where, more=more), 0o600)
        manager.write("user_config_template.yaml.j2", TEMPLATE.format(soft=soft, hard=hard))
        # A build with sanitizers can't look for leaks in processes that can't be looked at.
        manager.write("user_environment.yaml", 'ASAN_OPTIONS: "detect_leaks=0"\n')
        manager.write("map.json", mapping or [{
            "DATA_TYPE": "expression_identity_mapping#1.0.0",
            "mappings": [{"source": "{username}", "match": "(.*)@example\\.org", "output": "{0}"}]}],
            0o600)
        queues = Queues(web, rabbit.connect)
        assert manager.start() == web.endpoint_id
        return web, manager, queues

    yield start
    for web, manager in started:
        code = manager.stop()
        web.stop()
        print(manager.log())  # shown when the test fails
        assert code in (0, None), manager.output()
        assert "Sanitizer" not in manager.log()


@pytest.fixture(scope="session")
def ada(accounts):
    return accounts.get("ada")


@pytest.fixture(scope="session")
def bob(accounts):
    return accounts.get("bob")


def reports(queues, uep, seconds=20):
    """The next report of that user endpoint."""
    def one():
        _, data = queues.take("notices", seconds)
        return data if data["endpoint_id"] == uep else None

    return wait_for(f"a report of {uep}", one, seconds)


def ask(queues, account, **changes):
    uep = str(uuid.uuid4())
    doc = command(queues, f"{account.name}@example.org", uep, **changes)
    queues.send(doc)
    return uep, doc


def test_a_user_endpoint_starts_as_the_user(whole, ada):
    web, manager, queues = whole()
    assert queues.take("beats")[1]["global_state"] == {"heartbeat_period": 5}
    uep, doc = ask(queues, ada, request_id="req-1")
    state = reports(queues, uep)["global_state"]
    assert "error" not in state, state
    assert state["posix_username"] == ada.name and state["posix_uid"] == ada.uid
    me = doc["globus_identity_set"][0]["id"]
    assert state["globus_matched_identity"] == me
    assert state["globus_candidate_identities"] == [[{me: [ada.name]}]]
    log = manager.log()
    assert f"Command process successfully forked for '{ada.name}' (Globus effective identity: {me})." in log
    assert "[request req-1]" in log
    # A second request with other credentials is a refresh.
    queues.send(doc)
    wait_for("a refresh", lambda: f"User endpoint {doc['kwargs']['name']} is already running" in manager.log())
    wait_for("acknowledged", lambda: queues.ready("commands") == 0)
    # Stop takes the user endpoint along, and says good-bye for the manager.
    assert manager.stop() == 0
    assert processes_of(ada.uid) == []
    last = None
    while queues.ready("beats"):
        last = queues.take("beats")[1]["global_state"]
    assert last == {"heartbeat_period": 0}


def entries(log):
    """Messages of a log, those of several lines whole."""
    return re.split(r"\n(?=\d{4}-\d\d-\d\d )", log)


def test_one_id_in_every_line_of_a_start(whole, ada):
    web, manager, queues = whole()
    template = manager.endpoint_folder / "user_config_template.yaml.j2"
    template.write_text(template.read_text() + "# {{ user_runtime }}\n")  # a warning of prepare
    uep, doc = ask(queues, ada, request_id="req-good")
    reports(queues, uep)
    name = doc["kwargs"]["name"]
    said = [e for e in entries(manager.log()) if name in e]
    assert [e for e in said if "req-good" not in e] == []
    for text in ("Creating new user endpoint (pid: ", "is deprecated"):
        assert [e for e in said if text in e], said
    assert [e for e in entries(manager.log()) if "successfully forked" in e and "[request req-good]" in e]
    first = (ada.home / ".globus_compute" / name / "endpoint.log").read_text().splitlines()[0]
    assert first.endswith(f"User endpoint {name} starts as {ada.name} [request req-good]")
    template.write_text("engine: {{ missing }}\n")
    uep, _ = ask(queues, ada, request_id="req-bad")
    assert "'missing' is undefined" in reports(queues, uep)["global_state"]["error"]
    said = [e for e in entries(manager.log()) if "'missing' is undefined" in e]
    assert len(said) == 2 and all("[request req-bad]" in e for e in said), said


def test_failures_reach_the_requester(whole, ada):
    web, manager, queues = whole()
    # The schema of `configure` is open; the template wants a number here.
    (manager.endpoint_folder / "user_config_schema.json").write_text(
        json.dumps({"type": "object", "properties": {"workers": {"type": "integer"}}}))
    uep, _ = ask(queues, ada, user_opts={"workers": "many"})
    text = reports(queues, uep)["global_state"]["error"]
    assert text.startswith(f"Unable to start user endpoint process for {ada.name} [exit code: 77; ")
    assert "'many' is not of type 'integer'" in text
    assert str(manager.endpoint_folder) not in text
    uep, doc = ask(queues, type(ada)("root", 0, 0, pathlib.Path("/root")))
    assert reports(queues, uep)["global_state"]["error"].startswith("(InvalidUserError) unexpected error")
    uep, doc = ask(queues, type(ada)("no-such-user", 0, 0, pathlib.Path("/")))
    assert "local user does not exist" in reports(queues, uep)["global_state"]["error"]
    uep, _ = ask(queues, type(ada)("daemon", 1, 1, pathlib.Path("/")))
    assert reports(queues, uep)["global_state"]["error"].startswith(
        "Unable to start user endpoint process for daemon: ")
    assert queues.ready("commands") == 0
    # It lives on.
    uep, _ = ask(queues, ada)
    assert "error" not in reports(queues, uep)["global_state"]


def test_mapping_changes_without_a_restart(whole, ada, bob):
    web, manager, queues = whole()
    rules = json.loads((manager.endpoint_folder / "map.json").read_text())
    rules[0]["mappings"][0].update(match="anybody@example\\.org", output=bob.name)
    new = manager.write("map.new", rules, 0o600)
    new.rename(manager.endpoint_folder / "map.json")
    wait_for("the change is seen", lambda: "Identity mapping configuration change detected" in manager.log(), 15)
    uep = str(uuid.uuid4())
    queues.send(command(queues, "anybody@example.org", uep))
    assert reports(queues, uep)["global_state"]["posix_username"] == bob.name
    manager.write("map.json", "[{,}]", 0o600)
    wait_for("the broken file is refused", lambda: "Unable to update identity configuration -- " in manager.log(), 15)
    uep = str(uuid.uuid4())
    queues.send(command(queues, "anybody@example.org", uep))
    assert reports(queues, uep)["global_state"]["posix_username"] == bob.name


def listener_of(manager):
    for pid in os.listdir("/proc"):
        try:
            line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            parent = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1]
        except (OSError, IndexError):
            continue
        if b"/sallyport/listener" in line and int(parent) == manager.pid:
            return int(pid)
    return None


def test_a_listener_that_is_killed_comes_back(whole, ada):
    web, manager, queues = whole()
    uep, _ = ask(queues, ada)
    first = reports(queues, uep)["global_state"]
    listener = wait_for("listener", lambda: listener_of(manager))
    os.kill(listener, signal.SIGKILL)
    wait_for("a new one", lambda: listener_of(manager) not in (None, listener), 20)
    another, _ = ask(queues, ada)
    state = reports(queues, another)["global_state"]
    assert state["posix_uid"] == ada.uid
    # The user endpoint that ran all the time did not notice.
    assert os.path.exists(f"/proc/{first['posix_pid']}")
    # The second registration is for the same id.
    puts = [s for s in web.seen if s[0] == "PUT"]
    assert puts and puts[-1][1] == f"/v3/endpoints/{web.endpoint_id}"


def broker_user(rabbit, name, password):
    """Makes it, or gives it another password and cuts its connections."""
    def run(*argv):
        return subprocess.run(["/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", *argv], env=rabbit.environment(), timeout=60,
                              capture_output=True)

    if run("change_password", name, password).returncode != 0:
        assert run("add_user", name, password).returncode == 0
        assert run("set_permissions", name, ".*", ".*", ".*").returncode == 0
    run("close_all_user_connections", name, "the password has changed")


def test_refused_logins_lead_to_a_new_registration(whole, ada, rabbit):
    """The credentials are refused, and for a while those of new registrations are too."""
    def queues_with(password):
        answer = web.queues()
        for info in ("command_queue_info", "heartbeat_queue_info"):
            url = answer[info]["connection_url"]
            answer[info]["connection_url"] = "amqp://manager:" + password + "@" + url.split("@")[1]
        return answer

    def begin(service):
        nonlocal web
        web = service
        broker_user(rabbit, "manager", "first")
        web.answer = queues_with("first")

    web = None
    web, manager, queues = whole(prepare=begin)
    uep, _ = ask(queues, ada)
    first = reports(queues, uep)["global_state"]
    broker_user(rabbit, "manager", "second")
    wait_for("warnings", lambda: manager.log().count("The broker refuses the login") >= 3, 30)
    wait_for("a new registration", lambda: "The endpoint worked before" in manager.log(), 60)
    web.answer = queues_with("second")
    another, _ = ask(queues, ada)
    assert reports(queues, another, 90)["global_state"]["posix_uid"] == ada.uid
    assert os.path.exists(f"/proc/{first['posix_pid']}")


def stand_in(manager, folder, text):
    """Another program in the place of the user endpoint, found by PATH."""
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    program = bin_folder / "globus-compute-endpoint"
    program.write_text(text)
    for path in (bin_folder, program):
        path.chmod(0o755)
    manager.write("user_environment.yaml", f"PATH: {bin_folder}:/usr/bin:/bin\n")


WHAT_IT_IS = """#!/usr/bin/python3 -I
import json, os, sys
fds = {}
for n in os.listdir("/proc/self/fd"):
    try:
        fds[n] = os.readlink("/proc/self/fd/" + n)
    except FileNotFoundError:
        pass  # the listing's own
status = dict(line.rstrip().split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
json.dump({"fds": fds, "status": status, "ids": [os.getresuid(), os.getresgid()], "groups": os.getgroups(),
           "env": open("/proc/self/environ").read().split("\\0")[:-1], "cwd": os.getcwd(),
           "sid": os.getsid(0) == os.getpid(), "ppid": os.getppid(), "umask": os.umask(0),
           "argv": sys.argv[1:], "keys": sorted(json.load(sys.stdin))}, open("seen.new", "w"))
os.rename("seen.new", "seen")
"""


def test_what_the_user_endpoint_is_exactly(whole, ada, folder):
    """At its exec, after all that manager, session and prepare do."""
    web, manager, queues = whole()
    stand_in(manager, folder, WHAT_IT_IS)
    (ada.home / "seen").unlink(missing_ok=True)
    uep, doc = ask(queues, ada)
    name = doc["kwargs"]["name"]
    seen = json.loads(wait_for("it was there", lambda: (ada.home / "seen").exists()
                               and (ada.home / "seen").read_text(), 20))
    uep_folder = f"{ada.home}/.globus_compute/{name}"
    assert seen["ids"] == [[ada.uid] * 3, [ada.gid] * 3]
    assert sorted(seen["groups"]) == sorted(os.getgrouplist(ada.name, ada.gid))
    status = seen["status"]
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "SigBlk"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    fds = seen["fds"]
    assert sorted(fds) == ["0", "1", "2", "3"]
    assert fds["0"].startswith("/memfd:document") and fds["3"].startswith("/memfd:dyn")
    assert fds["1"] == fds["2"] == f"{uep_folder}/endpoint.log"
    assert sorted(seen["env"]) == sorted([
        f"PATH={folder}/bin:/usr/bin:/bin", f"HOME={ada.home}", f"USER={ada.name}", f"CWD={ada.home}",
        f"GLOBUS_COMPUTE_ENDPOINT_NAME={name}", "GC_USER_SDK_VERSION=4.19.0",
        f"GLOBUS_COMPUTE_ENDPOINT_DIR={uep_folder}",
        f"GLOBUS_COMPUTE_LOG_PATH={uep_folder}/endpoint.log"])
    assert seen["cwd"] == str(ada.home) and seen["umask"] == 0o077 and seen["sid"]
    assert seen["ppid"] == manager.pid and seen["argv"] == ["_start-user-endpoint", name]
    assert seen["keys"] == ["amqp_creds", "config", "enckey", "ep_info", "mem_fd", "survives_manager"]


def test_idle_out_and_revival(whole, ada):
    """A request that comes while the user endpoint is leaving is not lost."""
    web, manager, queues = whole(soft=1, hard=2)
    uep, doc = ask(queues, ada)
    reports(queues, uep)
    time.sleep(6)
    queues.send(doc)
    wait_for("a refresh", lambda: "is already running" in manager.log(), 15)
    wait_for("the revival", lambda: "using cached arguments to start a new instance" in manager.log(), 40)
    assert manager.log().count("Creating new user endpoint") >= 2


def test_ten_thousand_requests_of_one_among_others(whole, ada, bob, folder):
    """Of one user there run four starts at a time and 512 wait; the others are served between them,
    heartbeats stay on time, and no command is left at the broker."""
    web, manager, queues = whole(more="sallyport: {max_user_endpoints_per_user: 30}\n")
    stand_in(manager, folder, "#!/bin/sh\nexec sleep 600\n")
    flood = command(queues, f"{ada.name}@example.org", amqp_creds=queues.creds(str(uuid.uuid4())))
    bodies = []
    for i in range(10_000):
        flood["kwargs"]["name"] = f"flood-{i}"
        bodies.append(json.dumps(flood).encode())
    others = [command(queues, f"{bob.name}@example.org") for _ in range(10)]
    queues.send(*bodies, *others)
    names = [doc["kwargs"]["name"] for doc in others]

    def served():
        started = re.findall(r"Creating new user endpoint .*?_start-user-endpoint (\S+)\]", manager.log())
        return set(names) <= set(started)

    wait_for("the others are served", served, 120)
    wait_for("all is acknowledged", lambda: queues.ready("commands") == 0, 120)
    log = manager.log()
    assert log.count("Creating new user endpoint") <= 30 + len(others)
    assert "Too many start requests are waiting for this identity" in log
    assert "the limit per user" in log
    assert log.count("\n") < 30_000, "the flood fills the log"
    queues.take("beats", 8)


def test_burst(whole, ada, bob):
    web, manager, queues = whole()
    docs = {}
    for i in range(40):
        uep = str(uuid.uuid4())
        account = (ada, bob)[i % 2]
        docs[uep] = command(queues, f"{account.name}@example.org", uep)
    queues.send(*docs.values())
    seen = set()

    def all_there():
        while queues.ready("notices"):
            data = queues.take("notices")[1]
            assert "error" not in data["global_state"], data
            seen.add(data["endpoint_id"])
        return seen == set(docs)

    wait_for("all 40 report", all_there, 90)
    assert re.search("Command process successfully forked", manager.log())
