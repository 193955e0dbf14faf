"""A real node agent and its workers, with a user endpoint played by pyzmq."""

import json
import os
import secrets
import subprocess
import time

import zmq
from globus_compute_sdk.serialize import ComputeSerializer
from worker_probe import ROOT

from support.functions import as_users

PREFIX = os.environ.get("SALLYPORT_PREFIX", os.path.join(ROOT, "build", "stage"))
AGENT = os.environ.get("SALLYPORT_NODE_AGENT", PREFIX + "/libexec/sallyport/node-agent")


class Endpoint:
    """The other side of the link: a ROUTER that speaks what link.h says."""

    def __init__(self, tmp_path, user_python, env=None, **settings):
        self.dir = tmp_path
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        public, secret = zmq.curve_keypair()
        self.socket.curve_server = True
        self.socket.curve_secretkey = secret
        self.socket.linger = 0
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.token = secrets.token_hex(32)
        key_file = tmp_path / "link.key"
        key_file.write_text(f"public {public.decode()}\ntoken {self.token}\n")
        key_file.chmod(0o600)
        run_dir = tmp_path / "run"
        run_dir.mkdir(exist_ok=True)
        self.settings = {"run_dir": str(run_dir), "heartbeat_period": 1, "heartbeat_threshold": 5,
                         "max_workers": 2, "cores_per_worker": 0.5, **settings}
        self.stderr = open(tmp_path / "agent.err", "w+")
        self.agent = subprocess.Popen(
            [AGENT, "--addresses", "127.0.0.1", "--port", str(port), "--key-file", str(key_file),
             "--block-id", "3", "--probe-timeout", "10"],
            stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr, cwd=str(tmp_path),
            env={**os.environ, "GC_WORKER_PYTHON": user_python, **(env or {})},
        )
        self.identity = None
        self.ready = None
        self.inbox = []

    def send(self, kind, value=None, body=None):
        head = kind.encode() + (json.dumps(value).encode() if value is not None else b"")
        self.socket.send_multipart([self.identity, head] + ([body] if body is not None else []))

    def next(self, kinds, timeout=20):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for i, message in enumerate(self.inbox):
                if message[0] in kinds:
                    return self.inbox.pop(i)
            if not self.socket.poll(200):
                continue
            identity, head, *body = self.socket.recv_multipart()
            kind, rest = chr(head[0]), head[1:]
            value = json.loads(rest) if kind in "HYLG" else rest.decode()
            if kind == "H":
                assert value["token"] == self.token
                self.identity = identity
                self.send("W", self.settings)
            elif kind == "B":
                self.send("B")
            self.inbox.append((kind, value, body[0] if body else None))
        self.stderr.seek(0)
        raise AssertionError(f"no {kinds} within {timeout} s; agent said: {self.stderr.read()}")

    def start(self):
        self.ready = self.next("Y")[1]
        return self

    def submit(self, task_id, function, *args, **header):
        ser = ComputeSerializer()
        buffer = ser.pack_buffers([ser.serialize(as_users(function)), ser.serialize(args), ser.serialize({})])
        body = b"\x01" + json.dumps({"message_type": "task", "data": {
            "task_id": task_id, "container_id": None, "container": None, "task_buffer": buffer}}).encode()
        self.send("T", {"id": task_id, **header}, body)

    def result(self, timeout=30):
        kind, task_id, body = self.next("RL", timeout)
        if kind == "L":
            return task_id["id"], task_id
        data = json.loads(body[1:])["data"]
        if data["error_details"]:
            return task_id, RuntimeError(data["data"])
        return task_id, ComputeSerializer().deserialize(data["data"])

    def close(self):
        if self.agent.poll() is None:
            self.agent.kill()
        self.agent.wait(10)
        self.socket.close()
        self.context.term()
        self.stderr.close()
