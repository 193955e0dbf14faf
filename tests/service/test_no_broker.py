"""A broker that is away for long: nothing is lost, and nobody shouts meanwhile."""

import contextlib
import socket
import threading
import time

import pytest
from service_rig import STANDIN, Service, online, wait_until
from site_ import Manager

from support.process import Daemon


class Door(threading.Thread):
    """Listens where the broker was, hangs up on everybody, and counts."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", port))
        self.knocks = []
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.knocks.append(time.monotonic())
                connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.join(5)


class Place:
    """A service, and a broker beside it that can be taken away."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "data").mkdir(mode=0o711)
        self.start_broker()
        self.service = Service(folder)

    def start_broker(self):
        self.broker = Daemon([str(STANDIN), "--broker-only", "--data", str(self.folder / "data")],
                             self.folder / "broker.log", {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        wait_until(lambda: "ready" in self.broker.output(), 90)

    def stop(self):
        self.service.stop()
        self.broker.stop(30)


@pytest.fixture
def place(place):
    made = Place(place)
    yield made
    made.stop()


def test_it_is_away_and_comes_back(place):
    service = place.service
    manager = Manager(service.register().json())
    wait_until(lambda: online(service, manager.id))
    function = service.function()
    before = service.submit(manager.id, function, n=3).json()["tasks"][function]
    wait_until(lambda: all(service.get(f"/v2/tasks/{t}").json()["status"] == "success" for t in before))
    port = int(manager.info["command_queue_info"]["connection_url"].rsplit(":", 1)[1].split("/")[0])
    place.broker.stop(30)
    door, begin = Door(port), len(service.text_of_log())
    try:
        wait_until(lambda: service.get("/readyz", user=None).json() == {"ledger": True, "broker": False})
        assert service.get("/healthz", user=None).status_code == 200
        # What needs no queue of its own is taken; what does is refused, to be asked again.
        accepted = []
        for _ in range(30):
            answer = service.submit(manager.id, function, n=2)
            assert answer.status_code == 200, answer.text
            accepted += answer.json()["tasks"][function]
            answer = service.submit(manager.id, function, create_queue=True)
            assert answer.status_code == 503 and answer.json()["code"] == "BROKER_UNAVAILABLE"
            assert int(answer.headers["Retry-After"]) >= 1
            assert "please try again" in answer.json()["message"]
        time.sleep(25)
        said = service.text_of_log()[begin:]
        # Four connections, whose pauses grow from half a second: some ten tries each in this time.
        assert len(door.knocks) <= 60, len(door.knocks)
        first = sum(k - door.knocks[0] < 5 for k in door.knocks)
        assert first >= 4, "it does not try again at once"
        assert said.count("event=broker state=down") <= 8, said
        assert said.count("event=no-broker") <= 12, "a line for each request that was refused"
    finally:
        door.close()
    place.start_broker()
    wait_until(lambda: service.get("/readyz", user=None).status_code == 200, 90)
    manager = Manager(service.register(endpoint_id=manager.id).json())
    wait_until(lambda: all(service.get(f"/v2/tasks/{t}").json()["status"] == "success" for t in accepted), 90)
    assert service.submit(manager.id, function, create_queue=True).status_code == 200
    manager.leave()
