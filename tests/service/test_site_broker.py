"""A RabbitMQ that the site runs: what has to be set up there, said in one sentence each; a cluster
with quorum queues, of which a node is lost."""

import itertools
import json
import socket
import subprocess
import threading
import time

import pytest
import requests
from service_rig import STANDIN, Service, online, wait_until
from site_ import Manager

from support.long import takes_long
from support.process import free_port
from support.rabbit import RabbitNode
from support.sockets import join

CTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"  # not the wrapper, which changes the account
PLUGINS = "rabbitmq_auth_backend_http,rabbitmq_auth_backend_cache"


def settings(place, url, **more):
    port = free_port()
    (place / "data").mkdir(mode=0o711, exist_ok=True)
    (place / "data" / "service.yaml").write_text(json.dumps(
        {"broker": {"url": url, "auth_listen": f"127.0.0.1:{port}", **more}}))


def conf(place):
    return subprocess.run([STANDIN, "--broker-conf", "--data", place / "data"], check=True, capture_output=True,
                          text=True, timeout=30).stdout


def refusal(place):
    done = subprocess.run([STANDIN, "--data", place / "data", "--port", "0"], capture_output=True, text=True,
                          timeout=60)
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert done.returncode == 1 and len(errors) == 1 and not done.stdout, done.stderr
    return errors[0]


def test_what_is_missing_is_said(place):
    port = free_port()
    settings(place, f"amqp://sally:secret@127.0.0.1:{port}/site")
    lines = conf(place)
    assert "auth_http.user_path = http://127.0.0.1:" in lines
    with RabbitNode(place / "rabbit") as node:
        def ctl(*words):
            subprocess.run([CTL, *words], check=True, capture_output=True, timeout=60,
                           env=node.environment())

        settings(place, node.url.replace(f"{node.user}:{node.password}", "sally:secret").replace("%2F", "site"))
        assert "refuses the login of sally" in refusal(place)
        ctl("add_user", "sally", "secret")
        assert "virtual host site" in refusal(place)
        ctl("add_vhost", "site")
        assert "set_permissions" in refusal(place)
        ctl("set_permissions", "-p", "site", "sally", "nothing", ".*", ".*")
        assert "does not let sally do all in the virtual host site" in refusal(place)
        ctl("set_permissions", "-p", "site", "sally", ".*", "^(results|heartbeats|tasks|commands)", ".*")
        assert "does not let sally do all in the virtual host site" in refusal(place)  # streams: amq.default
        ctl("set_permissions", "-p", "site", "sally", ".*", ".*", ".*")
        assert "rabbitmq_auth_backend_http" in refusal(place)
        settings(place, node.url.replace(f"{node.user}:{node.password}", "sally:secret").replace("%2F", "site"),
                 queue_type="quorum")
        assert "broker.queue_type" in refusal(place)
    (place / "data" / "service.yaml").write_text("{}")
    done = subprocess.run([STANDIN, "--broker-conf", "--data", place / "data"], capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 1 and "broker.auth_listen is not set" in done.stderr


class Door:
    """One address for a cluster: each connection goes to the first node that answers."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            for node in self.nodes:
                try:
                    server = socket.create_connection(("127.0.0.1", node.port), timeout=5)
                except OSError:
                    continue
                server.settimeout(None)
                join(client, server)
                break
            else:
                client.close()


@pytest.fixture
def cluster(place):
    """Three nodes with one port mapper and one cookie."""
    settings(place, "amqp://x:y@127.0.0.1/")
    nodes = [RabbitNode(place / f"node{i}", plugins=PLUGINS) for i in range(3)]
    door = Door(nodes)
    settings(place, nodes[0].url.replace(str(nodes[0].port), str(door.port)), queue_type="quorum")
    lines = conf(place) + "cluster_formation.peer_discovery_backend = classic_config\n" + "".join(
        f"cluster_formation.classic_config.nodes.{i + 1} = sallyport{n.port}@localhost\n" for i, n in enumerate(nodes))
    for n in nodes:
        n._more, n._epmd_port = lines, nodes[0]._epmd_port
        n.user, n.password = nodes[0].user, nodes[0].password
        n.folder.mkdir()
        (n.folder / ".erlang.cookie").write_text("c" * 20)
        (n.folder / ".erlang.cookie").chmod(0o400)
    for n in nodes:
        if n is not nodes[0]:
            n._epmd = nodes[0]._epmd
        n.start()
    yield nodes
    door.listener.close()
    for n in reversed(nodes):
        if n is not nodes[0]:
            n._epmd = None
        n.stop()


@takes_long
@pytest.mark.timeout(300)
def test_a_node_of_a_cluster_is_lost(cluster, place):
    service = Service(place)
    try:
        manager = Manager(service.register().json())
        wait_until(lambda: online(service, manager.id))
        function = service.function()
        accepted = service.submit(manager.id, function, n=20).json()["tasks"][function]
        hold = next(iter(manager.endpoints.values()))
        wait_until(lambda: len(hold.ran) >= 20)
        listed = subprocess.run([CTL, "-q", "list_queues", "name", "type"],
                                capture_output=True, text=True, timeout=60, env=cluster[1].environment())
        assert listed.returncode == 0, listed.stderr + listed.stdout
        queues = listed.stdout
        kinds = dict(line.split("\t") for line in queues.splitlines() if "\t" in line)
        kinds.pop("name", None)
        assert {"results", "heartbeats", f"{manager.id}.commands", f"{hold.id}.tasks"} <= set(kinds)
        assert set(kinds.values()) == {"quorum"}
        cluster[0].crash()  # all of us were connected to it
        end = time.monotonic() + 60
        for _ in itertools.count():
            try:
                answer = service.submit(manager.id, function, n=5)
                if answer.status_code == 200:
                    accepted += answer.json()["tasks"][function]
            except requests.RequestException:
                pass
            if len(accepted) >= 40 or time.monotonic() > end:
                break
            time.sleep(0.3)
        wait_until(lambda: service.get("/readyz", user=None).status_code == 200, 60)
        manager = Manager(service.register(endpoint_id=manager.id).json())
        wait_until(lambda: online(service, manager.id))
        assert len(accepted) >= 40

        def all_done():
            found = service.post("/v2/batch_status", {"task_ids": accepted}).json()["results"]
            return len(found) == len(accepted) and all(d["status"] == "success" for d in found.values())

        # The queue still counts the consumer of the lost node: what shows is that its reports have ended.
        wait_until(all_done, 150)
        manager.leave()
    finally:
        service.stop()
