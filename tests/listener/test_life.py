"""Registration, heartbeats, lock-up, and the ways in which a listener ends."""

import json
import os
import re
import signal
import socket
import time
import uuid

import pytest

from doubles import FATAL, MAPPING, NOBODY, REGISTERED, START, STOPPING, FAILED, command, identity
from support.process import wait_for


def test_registration_body(listen, queues, web):
    monitor = listen(config="display_name: Site\nallowed_functions: ['00000000-0000-4000-8000-000000000001']\n"
                            "public: true\n", schema='{"type": "object"}')
    assert monitor.next(REGISTERED).endpoint_id == web.endpoint_id
    verb, path, body = web.registration
    assert (verb, path) == ("POST", "/v3/endpoints")
    meta = body.pop("metadata")
    assert body == {"endpoint_name": monitor.folder.name, "multi_user": True, "display_name": "Site",
                    "allowed_functions": ["00000000-0000-4000-8000-000000000001"], "public": True,
                    "high_assurance": False}
    assert meta["endpoint_version"] == "4.19.0"
    assert meta["hostname"] == "host.example.org" and meta["local_user"] == "root"
    assert meta["endpoint_config"] == (monitor.folder / "config.yaml").read_text()
    assert meta["user_config_template"] == "engine: {}\n"
    assert meta["user_config_schema"] == {"type": "object"}


def test_known_id_is_put(listen, queues, web):
    monitor = listen(uuid_asked=web.endpoint_id)
    monitor.next(REGISTERED)
    assert web.registration[:2] == ("PUT", f"/v3/endpoints/{web.endpoint_id}")


def fatal(monitor, code, *texts):
    m = monitor.next(FATAL, 40)
    assert m.code == code, m
    for text in texts:
        assert text in m.text_admin, m
    assert monitor.process.wait(10) == code
    return m


@pytest.mark.parametrize("status,code", [(400, 65), (404, 69), (409, 69), (422, 65), (423, 69)])
def test_blocked(listen, web, status, code):
    web.status, web.answer = status, '{"reason": "because"}'
    m = fatal(listen(), code, 'Endpoint registration blocked.  [{"reason": "because"}]')
    assert m.text_user == m.text_admin


def test_forbidden(listen, web):
    web.status, web.answer = 403, "{}"
    fatal(listen(), 1)


def test_other_id(listen, web):
    asked = str(uuid.uuid4())
    fatal(listen(uuid_asked=asked), 70, "Unexpected response from server: mismatched endpoint id.",
          f"Expected: {asked}, received: {web.endpoint_id}")


@pytest.mark.parametrize("missing", ["endpoint_id", "command_queue_info", "heartbeat_queue_info"])
def test_incomplete_answer(listen, web, missing):
    web.answer = {k: v for k, v in web.queues().items() if k != missing}
    fatal(listen(), 70, "Invalid or unexpected registration data structure:")


def test_first_generation_answer(listen, queues, web):
    web.answer = web.queues()
    web.answer["result_queue_info"] = web.answer.pop("heartbeat_queue_info")
    listen().up()
    assert queues.take("beats")[1]["endpoint_id"] == web.endpoint_id


def test_version_too_old(listen, web):
    web.min_version = "4.20.0"
    fatal(listen(), 1, "is lower than the minimum version")


def test_no_template(listen):
    fatal(listen(template=None), 1, "User configuration template not found")


def test_broken_schema(listen):
    fatal(listen(schema="{,"), 1, "The user config schema is not valid JSON: ")


def test_bad_config(listen):
    fatal(listen(config="heartbeat: 3\n"), 1, "heartbeat", "unexpected_keyword_argument")


@pytest.mark.parametrize("text", ['[{,}]', '{"a": 1}', '[{"DATA_TYPE": "expression_identity_mapping#1.0.0"}]'])
def test_bad_mapping(listen, queues, web, text):
    fatal(listen(mapping=text), 78, " -- Unable to read identity mapping configuration from: ")
    # The service hears of it as well.
    report = queues.take("beats")[1]
    assert report["endpoint_id"] == web.endpoint_id
    assert report["global_state"]["error"].startswith("Failed to start or unexpected error:\n  ")
    assert "Unable to read identity mapping" in report["global_state"]["error"]


def test_no_identities(listen, queues, web):
    web.identities = [None]
    fatal(listen(mapping=None), 0, "Failed to determine identity set; try `whoami` command?")


def test_unprivileged_ignores_the_mapping(listen, queues, web):
    monitor = listen(root=False).up()
    queues.send(command(queues, globus_identity_set=[identity("x@y", web.identities[0])]))
    m = monitor.next(START)
    assert m.user == "root" and m.blob["ep_info"] == {} and m.blob["privileged"] is False
    assert "multi_user" not in web.registration[2]


def test_heartbeats(listen, queues, web):
    monitor = listen(config="heartbeat_period: 5\n").up()
    properties, first = queues.take("beats", 5)
    assert first == {"endpoint_id": web.endpoint_id, "global_state": {"heartbeat_period": 5},
                     "task_statuses": {}}
    assert properties.delivery_mode == 2
    begin = time.monotonic()
    queues.take("beats", 8)
    assert 3.5 < time.monotonic() - begin < 7
    assert monitor.stop() == 0
    assert queues.take("beats")[1]["global_state"] == {"heartbeat_period": 0}


def test_refused_credentials_end_the_manager(listen, queues, web):
    web.answer = web.queues()
    info = web.answer["command_queue_info"]
    info["connection_url"] = "amqp://nobody:wrong@" + info["connection_url"].split("@")[1]
    begin = time.monotonic()
    fatal(listen(), 0, "[invalid credentials; unrecoverable]")
    assert time.monotonic() - begin < 15


def test_missing_queue_ends_the_manager(listen, queues, web):
    web.answer = web.queues()
    web.answer["command_queue_info"]["queue"] = "no.such.queue"
    fatal(listen(), 0, "Unable to sustain channel")


def test_dies_with_the_monitor(listen, queues):
    monitor = listen().up()
    monitor.socket.shutdown(socket.SHUT_RDWR)
    assert monitor.process.wait(20) == 1
    monitor.logged("The monitor has gone")


def test_commands_that_come_while_stopping_stay(listen, queues):
    monitor = listen().up()
    monitor.policy = lambda m: (FAILED, {"code": STOPPING})
    queues.send(command(queues))
    monitor.next(START)
    assert monitor.stop() == 0
    wait_for("redelivered", lambda: queues.ready("commands") == 1)
    assert queues.ready("notices") == 0


def processes_below(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = open(f"/proc/{entry}/stat").read()
            except OSError:
                continue
            if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(entry))
    return found


def status_of(pid):
    return dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status").read().splitlines()
                if ":\t" in line)


def test_locked_up(listen, queues):
    monitor = listen().up()
    pid = monitor.process.pid
    status = status_of(pid)
    assert status["Uid"].split() == [str(NOBODY)] * 4
    assert status["NoNewPrivs"] == "1"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    if "a build for tests" not in monitor.log():
        assert status["Seccomp"] == "2"
    # Nothing is in its root directory, and the directory is in no other.
    assert os.readlink(f"/proc/{pid}/root").endswith(" (deleted)")
    assert os.listdir(f"/proc/{pid}/root") == []
    # Open: null devices, the log, the socket to the monitor, sockets, events; the mapping file.
    kinds = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
    files = [k for k in kinds if k.startswith("/")]
    allowed = {"/dev/null", str(monitor.log_path), str(monitor.folder / "idmap.json")}
    assert {f.removesuffix(" (deleted)") for f in files} <= allowed, kinds
    assert "empty root directory" in monitor.log() and "NO empty" not in monitor.log()
    # The helper has not the monitor's socket, and leaves with the listener.
    helpers = processes_below(pid)
    assert len(helpers) == 1
    ours = os.readlink(f"/proc/{pid}/fd/3")
    assert ours not in [os.readlink(f"/proc/{helpers[0]}/fd/{n}")
                        for n in os.listdir(f"/proc/{helpers[0]}/fd")]
    os.kill(pid, signal.SIGKILL)
    wait_for("the helper leaves", lambda: not os.path.exists(f"/proc/{helpers[0]}"), 5)
    monitor.process.wait(5)
    monitor.process.returncode = 0  # killed by us


def test_a_helper_that_dies_takes_the_listener_along(listen, queues):
    monitor = listen().up()
    helper, = processes_below(monitor.process.pid)
    os.kill(helper, signal.SIGKILL)
    assert monitor.process.wait(20) == 1
    monitor.logged("The listener's helper has ended")


def test_names_are_resolved_by_the_helper(listen, queues, web):
    """The broker has a name; the connection is made after the listener has lost its files."""
    web.answer = web.queues()
    for info in ("command_queue_info", "heartbeat_queue_info"):
        url = web.answer[info]["connection_url"]
        web.answer[info]["connection_url"] = re.sub(r"@127\.0\.0\.1:", "@localhost:", url)
    listen().up()
    queues.take("beats")


def test_amqp_port_changes_the_command_url_only(listen, queues, web, rabbit):
    web.answer = web.queues()
    info = web.answer["command_queue_info"]
    info["connection_url"] = info["connection_url"].replace(f":{rabbit.port}/", ":1/")
    listen(config=f"amqp_port: {rabbit.port}\n").up()
    queues.take("beats")


def test_mapping_file_message_carries_json(listen):
    """The double writes what the tests think it does."""
    monitor = listen()
    assert json.loads((monitor.folder / "idmap.json").read_text())[0]["mappings"]
    assert monitor._files[MAPPING]
