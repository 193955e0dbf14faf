"""From the start of the monitor to its end."""

import os
import signal

import monitor_table as table
from monitor_harness import needs_root, wait_ready, wait_until

pytestmark = needs_root


def test_banner_and_files(manager):
    c = manager.begin("--log-to-console")
    assert c.hello.version == 2 and c.hello.privileged and c.hello.can_change_user
    assert c.hello.local_user == "root"
    assert c.files[table.TEMPLATE] == b"engine: {}\n" and c.files[table.TOKENS] is None
    manager.wait_log(f"\n\n========== Endpoint Manager begins: {manager.id}\n")
    wait_until(lambda: f"        >>> Multi-User Endpoint ID: {manager.id} <<<\n" in manager.said())
    assert "> Endpoint Manager initialization\n" in manager.said()
    assert (manager.dir / "endpoint.json").read_bytes() == (
        b'{"endpoint_id": "%s"}' % manager.id.encode()
    )
    for name in ("endpoint.json", "endpoint.log", "daemon.pid"):
        assert (manager.dir / name).stat().st_mode & 0o777 == 0o600
    title = open(f"/proc/{manager.process.pid}/cmdline").read()
    assert title.startswith(f"Globus Compute Endpoint *({manager.id}, {manager.dir.name})"[:60])
    manager.process.send_signal(signal.SIGTERM)
    assert c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(10) == 0
    assert f"---------- Endpoint Manager ends: {manager.id}" in manager.log()
    assert not (manager.dir / "daemon.pid").exists()


def test_start_and_end(manager, ada):
    c = manager.begin()
    answer = c.started(ada.name, "uep.1", blob=manager.blob("p"), command="gce _start uep.1")
    seen = manager.probe("p")
    assert int(seen["pid"]) == answer.pid
    manager.wait_log(
        f"Creating new user endpoint (pid: {answer.pid}) [({ada.name}, uep.1) gce _start uep.1]"
    )
    wait_ready(answer.pid)
    os.kill(answer.pid, signal.SIGTERM)
    gone = c.expect(table.EXITED)
    assert (gone.pid, gone.user, gone.name, gone.code) == (answer.pid, ada.name, "uep.1", 0)
    manager.wait_log(
        f"Command stopped normally ({answer.pid}) [({ada.name}, uep.1) gce _start uep.1]"
    )
