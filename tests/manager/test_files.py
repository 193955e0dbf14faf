"""The administrator's files: who may have written them, and edits that take effect."""

import os
import signal
import socket
import time

import monitor_table as table
from monitor_harness import MAPPED, is_alive, needs_root, wait_until

pytestmark = needs_root


def next_mapping(c):
    while True:
        message = c.expect(table.FILE)
        content = message.read() if message.fds else None
        if message.file == table.MAPPING:
            return content


def test_mapping_edits_are_sent(manager):
    c = manager.begin()
    assert c.files[table.MAPPING] == b"[]"
    path = manager.dir / "map.json"
    path.write_text("[1]")
    assert next_mapping(c) == b"[1]"
    new = manager.dir / "map.new"
    new.write_text("[2]")
    new.rename(path)
    assert next_mapping(c) == b"[2]"
    manager.wait_log(f"Identity mapping configuration change detected; rereading: {path}")
    # It goes and comes back.
    path.unlink()
    time.sleep(0.3)
    path.write_text("[3]")
    assert next_mapping(c) == b"[3]"


def test_a_missing_mapping_is_an_error_again_and_again(manager):
    c = manager.begin()
    path = manager.dir / "map.json"
    path.rename(manager.dir / "map.away")
    text = f"Unable to update identity configuration -- (FileNotFoundError) [Errno 2] No such file or directory: '{path}'"
    wait_until(lambda: manager.log().count(text) >= 2, 30)
    assert "change detected" not in manager.log()  # nothing was sent: the old rules stay
    (manager.dir / "map.away").rename(path)
    assert next_mapping(c) == b"[]"
    said = manager.log().count(text)
    time.sleep(6)
    assert manager.log().count(text) == said


def test_mapping_behind_a_link(make_manager):
    """inotify on the folder sees nothing of this; the regular look does."""
    manager = make_manager()
    (manager.work / "real.json").write_text("[1]")
    os.chmod(manager.work, 0o755)
    (manager.dir / "map.json").unlink()
    (manager.dir / "map.json").symlink_to(manager.work / "real.json")
    c = manager.begin()
    assert c.files[table.MAPPING] == b"[1]"
    (manager.work / "real.json").write_text("[2]")
    assert next_mapping(c) == b"[2]"


def test_template_and_schema_edits_hold_from_the_next_start_on(manager, ada):
    c = manager.begin()
    c.started(ada.name, "uep.1", blob=manager.blob("p1"))
    inode = os.stat(manager.dir / "user_config_template.yaml.j2").st_ino
    new = manager.dir / "new"
    new.write_text("engine: {new: 1}\n")
    new.chmod(0o600)  # users need not be able to read it
    new.rename(manager.dir / "user_config_template.yaml.j2")
    (manager.dir / "user_config_schema.json").unlink()
    (manager.dir / "user_environment.yaml").write_text("A: b\n")
    c.started(ada.name, "uep.2", request=2, blob=manager.blob("p2"))
    fds = manager.probe("p2")["fd"]
    assert fds[6][0].endswith("user_config_template.yaml.j2") and inode != new
    assert 7 not in fds and 8 in fds
    (manager.dir / "user_config_template.yaml.j2").unlink()
    answer = c.failed(ada.name, "uep.3", request=3)
    assert "user_config_template.yaml" in answer.admin_text
    assert str(manager.dir) not in answer.user_text
    (manager.dir / "user_config_template.yaml").write_text("engine: {}\n")
    c.started(ada.name, "uep.4", request=4, blob=manager.blob("p4"))
    assert manager.probe("p4")["fd"][6][0].endswith("user_config_template.yaml")


def test_files_that_others_can_write(manager, ada):
    c = manager.begin()
    template = manager.dir / "user_config_template.yaml.j2"
    template.chmod(0o666)
    assert "written by everybody" in c.failed(ada.name, "uep.1").admin_text
    template.chmod(0o644)
    os.chown(template, ada.uid, ada.gid)
    assert f"belongs to uid {ada.uid}" in c.failed(ada.name, "uep.1").admin_text
    os.chown(template, 0, 0)
    schema = manager.dir / "user_config_schema.json"
    schema.unlink()
    os.mkfifo(schema)
    assert "not a regular file" in c.failed(ada.name, "uep.1").admin_text
    schema.unlink()
    c.started(ada.name, "uep.1", request=9)


def test_config_that_others_can_write(manager, ada):
    (manager.dir / "config.yaml").chmod(0o666)
    assert manager.spawn().process.wait(10) == 1
    assert "written by everybody" in manager.said()


def test_bad_configuration(make_manager):
    manager = make_manager(MAPPED + "heartbeat_periodd: 3\n")
    assert manager.spawn().process.wait(10) == 1
    assert "heartbeat_periodd" in manager.said() and "did you mean" in manager.said()
    manager = make_manager("engine: {type: x}\n")
    assert manager.spawn().process.wait(10) == 1
    assert "contains an `engine` field" in manager.said()
    manager = make_manager(MAPPED + "sallyport: {listener_user: root}\n")
    assert manager.spawn().process.wait(10) == 1
    assert "privileged" in manager.said()


def test_seed_style_root_without_mapping(make_manager):
    manager = make_manager("multi_user: true\n")
    assert manager.spawn().process.wait(10) == 72
    assert "No identity mapping file specified" in manager.said()


def test_current_style_root_without_mapping(make_manager, ada):
    manager = make_manager("email: a@example.org\n")
    c = manager.begin("--log-to-console")
    manager.wait_log(f"========== Core Endpoint begins: {manager.id}")
    assert f"        >>> Endpoint ID: {manager.id} <<<" in manager.said()
    assert "No identity mapping is configured" in manager.log()
    assert c.failed(ada.name, "uep.1").code == table.BAD_ACCOUNT
    c.started("root", "uep.1", blob=manager.blob("p"))
    seen = manager.probe("p")
    assert seen["uid"] == "0 0 0" and int(seen["status"]["CapEff"], 16) != 0
    manager.process.send_signal(signal.SIGTERM)
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(15) == 0
    assert f"---------- Core Endpoint ends: {manager.id}" in manager.log()


def test_hangup(manager, ada):
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    (manager.dir / "endpoint.log").rename(manager.dir / "old.log")
    manager.process.send_signal(signal.SIGHUP)
    files = {}
    for _ in range(4):
        message = c.expect(table.FILE)
        files[message.file] = message.read() if message.fds else None
    assert sorted(files) == [table.CONFIG, table.TEMPLATE, table.SCHEMA, table.MAPPING]
    os.kill(pid, signal.SIGKILL)
    manager.wait_log("Command terminated by signal: 9")
    assert is_alive(manager.process.pid)


def test_pid_file(make_manager):
    manager = make_manager()
    c = manager.begin()
    assert (manager.dir / "daemon.pid").read_text() == f"{manager.process.pid}\n"
    other = make_manager()
    other.dir = manager.dir
    assert other.spawn().process.wait(10) == 73
    assert "Another instance of this endpoint is running." in other.said()
    # Somebody removes it: the manager stops, within 17 s.
    (manager.dir / "daemon.pid").unlink()
    c.sock.settimeout(18)
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(10) == 0
    assert "PID file removed by another process; initiating shutdown" in manager.log()


def test_endpoint_uuid(make_manager):
    stored, asked = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
    for config, wanted in ((MAPPED, stored), ("email: a@example.org\n", asked)):
        manager = make_manager(config)
        (manager.dir / "endpoint.json").write_text('{"endpoint_id": "%s"}' % stored)
        manager.spawn("--endpoint-uuid", asked)
        assert manager.accept().expect(table.HELLO).uuid == wanted
        manager.close()
    manager = make_manager()
    (manager.dir / "endpoint.json").write_text("nonsense")
    assert manager.spawn().process.wait(10) == 1
    assert "does not hold an endpoint id" in manager.said()


def test_detach(manager):
    manager.spawn("--detach")
    c = manager.accept()
    c.expect(table.HELLO)
    assert manager.process.poll() is None  # it waits for the registration
    c.send(table.registered(manager.id))
    assert manager.process.wait(10) == 0
    wait_until(lambda: (manager.dir / "daemon.pid").exists())
    pid = int((manager.dir / "daemon.pid").read_text())
    assert f"> Endpoint <{manager.dir.name}> starting in detached mode.\n" in manager.said()
    wait_until(lambda: os.readlink(f"/proc/{pid}/fd/2") == "/dev/null")
    assert os.getsid(pid) == pid
    assert (manager.dir / "daemon.pid").stat().st_mode & 0o777 == 0o644
    os.kill(pid, signal.SIGTERM)
    c.expect(table.STOP)
    c.sock.close()
    wait_until(lambda: not is_alive(pid))


def test_detach_that_fails(manager):
    manager.spawn("--detach")
    c = manager.accept()
    c.send(table.fatal(65, "Endpoint registration blocked.  [no]"))
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(10) == 65
    assert "Endpoint registration blocked.  [no]" in manager.said()


def told(s, text):
    """What systemd hears, until it hears that."""
    while text not in s.recv(4096).decode():
        pass


def test_service_manager_is_told(manager, ada):
    path = manager.dir / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(path))
        s.settimeout(10)
        c = manager.begin(env={"NOTIFY_SOCKET": str(path), "PATH": "/bin", "WATCHDOG_USEC": "400000"})
        told(s, "READY=1")
        told(s, f"STATUS=Endpoint {manager.id}, user endpoints: 0")
        for _ in range(3):
            told(s, "WATCHDOG=1")
        c.started(ada.name, "uep.1")
        told(s, f"STATUS=Endpoint {manager.id}, user endpoints: 1")
        manager.process.send_signal(signal.SIGTERM)
        told(s, "STOPPING=1")
        c.sock.close()
        assert manager.process.wait(15) == 0
