"""status.sock: the moment as one line of JSON."""

import json
import os
import socket
import time

from support.process import wait_for
from uep import LOCAL


def slow(seconds):
    import time
    time.sleep(seconds)


def ask(directory):
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(f"/proc/self/fd/{fd}/status.sock")
            text = b""
            while part := s.recv(65536):
                text += part
    finally:
        os.close(fd)
    assert text.count(b"\n") == 1 and text.endswith(b"\n")
    return json.loads(text)


def test_status(cloud):
    name = "uep." + "a" * 60 + "." + "b" * 60  # longer than a socket's address may be
    uep = cloud.start(LOCAL, name=name)
    cloud.beat()
    status = ask(uep.dir)
    assert status["endpoint_id"] == cloud.id and status["phase"] == "running"
    assert status["blocks"] == [] and status["nodes"] == [] and status["tasks"]["received_total"] == 0
    assert status["taking_tasks"] and status["publishing"]
    tasks = [cloud.submit(slow, 2) for _ in range(5)]
    time.sleep(1.2)
    status = ask(uep.dir)
    assert status["tasks"]["waiting"] == 3 and status["tasks"]["on_nodes"] == 2
    assert [b["state"] for b in status["blocks"]] == ["RUNNING"]
    assert status["nodes"][0]["workers"] == 2 and status["idle_workers"] == 0
    for task in tasks:
        cloud.result(task)
    wait_for("the confirms", lambda: ask(uep.dir)["tasks"]["confirmed_total"] == 5, 5)
    assert uep.stop() == 0
    assert not (uep.dir / "status.sock").exists()
