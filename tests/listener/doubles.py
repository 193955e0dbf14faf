"""Stand-ins for the listener's neighbours: the monitor (speaks table.h) and the web service."""

from __future__ import annotations

import array
import collections
import http.server
import json
import os
import pathlib
import queue
import socket
import struct
import subprocess
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import pika

from support.process import wait_for

NOBODY = 65534

# ---- table.h ----

REGISTERED, START, REFRESH, FATAL = 1, 2, 3, 4
HELLO, FILE, STARTED, RUNNING, FAILED, REFRESHED, EXITED, STOP = range(100, 108)
CONFIG, TEMPLATE, SCHEMA, MAPPING, TOKENS = range(5)
NO_ACCOUNT, SAME_USER, BAD_ACCOUNT, LIMIT, BAD_NAME, CANT_FORK, STOPPING = range(1, 8)

HEAD = struct.Struct("=IiQiI")
START_PART = struct.Struct("=64s256s48s37s1024s64s")
HELLO_PART = struct.Struct("=I?1024s37s256s64s??")
TEXT_PART = struct.Struct("=2048s2048s")


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode()


@dataclass
class Message:
    """What the listener sent."""

    type: int
    code: int = 0
    request: int = 0
    endpoint_id: str = ""
    user: str = ""
    name: str = ""
    key: str = ""
    id: str = ""
    command: str = ""
    correlation: str = ""
    text_user: str = ""
    text_admin: str = ""
    credentials: bytes = b""
    blob: dict = field(default_factory=dict)


def _read_all(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as f:
        f.seek(0)
        return f.read()


def decode(packet: bytes, fds: list[int]) -> Message:
    kind, code, request, _pid, _file = HEAD.unpack_from(packet)
    m = Message(kind, code, request)
    if kind == REGISTERED:
        m.endpoint_id = _text(packet[HEAD.size:])
    elif kind in (START, REFRESH):
        m.user, m.name, m.key, m.id, m.command, m.correlation = map(_text, START_PART.unpack_from(packet, HEAD.size))
        m.credentials = _read_all(fds[0])
        if kind == START:
            m.blob = json.loads(_read_all(fds[1]))
    elif kind == FATAL:
        m.text_user, m.text_admin = map(_text, TEXT_PART.unpack_from(packet, HEAD.size))
    return m


# ---- the web service ----

class Service:
    """Answers the calls of a registration; `answer` and `identities` may be changed."""

    def __init__(self, rabbit_url: str):
        self.endpoint_id = str(uuid.uuid4())
        self.rabbit_url = rabbit_url
        self.identities = [str(uuid.uuid4())]
        self.min_version = "2.0.0"
        self.status = 200
        self.answer: dict | str | None = None
        self.seen: list[tuple[str, str, dict]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _do(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(size)
                kind = self.headers.get("Content-Type", "")
                body = (dict(urllib.parse.parse_qsl(raw.decode())) if "form" in kind
                        else json.loads(raw or b"{}"))
                path = "/" + self.path.split("://", 1)[-1].split("/", 1)[-1]
                outer.seen.append((self.command, path, body))
                status, doc = outer.reply(path, body)
                raw = doc.encode() if isinstance(doc, str) else json.dumps(doc).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PUT = _do

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def queues(self) -> dict:
        e = self.endpoint_id
        return {
            "endpoint_id": e,
            "command_queue_info": {"connection_url": self.rabbit_url, "exchange": "commands",
                                   "queue": f"{e}.commands"},
            "heartbeat_queue_info": {
                "connection_url": self.rabbit_url, "exchange": "heartbeats", "queue": f"{e}.beats",
                "queue_publish_kwargs": {"exchange": "heartbeats", "routing_key": f"{e}.heartbeats",
                                         "mandatory": True, "properties": {"delivery_mode": 2}}},
        }

    def reply(self, path: str, body: dict) -> tuple[int, dict | str]:
        if path == "/v2/oauth2/token":
            server = "auth.globus.org" if "openid" in body["scope"] else "funcx_service"
            return 200, {"access_token": "token", "resource_server": server, "scope": body["scope"],
                         "expires_in": 3600, "token_type": "Bearer", "other_tokens": []}
        if path.startswith("/v2/version"):
            return 200, {"min_ep_version": self.min_version, "min_sdk_version": "2.0.0"}
        if path.startswith("/v2/oauth2/userinfo"):
            return 200, {"sub": self.identities[0],
                         "identity_set": [{"sub": s} for s in self.identities]}
        return self.status, self.queues() if self.answer is None else self.answer

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def registration(self) -> tuple[str, str, dict]:
        return next(s for s in self.seen if s[1].startswith("/v3/endpoints"))


# ---- the broker's side of the service ----

class Queues:
    """The queues of one endpoint; commands in, heartbeats and notices out."""

    def __init__(self, service: Service, connect: Callable[[], pika.BlockingConnection]):
        self.service = service
        self._connect = connect
        with connect() as c:
            self._declare(c.channel())

    def _declare(self, ch) -> None:
        e = self.service.endpoint_id
        ch.exchange_declare("commands", "direct", durable=True)
        ch.exchange_declare("heartbeats", "topic", durable=True)
        ch.exchange_declare("tasks", "direct", durable=True)
        ch.exchange_declare("results", "topic", durable=True)
        for name in ("results", "heartbeats"):  # what user endpoints check; nothing comes here
            ch.queue_declare(name, durable=True)
        ch.queue_declare(f"{e}.commands", durable=True)
        ch.queue_bind(f"{e}.commands", "commands", f"{e}.commands")
        ch.queue_declare(f"{e}.beats", durable=True)
        ch.queue_bind(f"{e}.beats", "heartbeats", f"{e}.heartbeats")
        # Notices of user endpoints: their own ids, so anything else.
        ch.queue_declare(f"{e}.notices", durable=True)

    def creds(self, uep: str) -> dict:
        """amqp_creds of a user endpoint whose notices come to us."""
        with self._connect() as c:
            ch = c.channel()
            ch.queue_bind(f"{self.service.endpoint_id}.notices", "heartbeats", f"{uep}.heartbeats")
            ch.queue_declare(f"{uep}.tasks", durable=True)
            ch.queue_bind(f"{uep}.tasks", "tasks", f"{uep}.tasks")
        return creds(uep, self.service.rabbit_url)

    def send(self, *bodies: dict | bytes, **properties) -> None:
        properties.setdefault("content_type", "application/json")
        properties.setdefault("timestamp", int(time.time()))
        if properties["timestamp"] is None:
            del properties["timestamp"]
        with self._connect() as c:
            ch = c.channel()
            if properties.get("delivery_mode") == 2:
                ch.confirm_delivery()  # on disk when this returns
            for body in bodies:
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                ch.basic_publish("commands", f"{self.service.endpoint_id}.commands", raw,
                                 pika.BasicProperties(**properties))

    def take(self, queue_name: str, seconds: float = 10) -> tuple[pika.BasicProperties, dict]:
        """The next report in `beats` or `notices`."""
        with self._connect() as c:
            ch = c.channel()

            def one():
                method, properties, body = ch.basic_get(f"{self.service.endpoint_id}.{queue_name}",
                                                        auto_ack=True)
                return (properties, body) if method else None

            properties, body = wait_for(f"a message in {queue_name}", one, seconds)
        assert body[:1] == b"\x01"
        assert b'": ' not in body, "not compact"
        doc = json.loads(body[1:])
        assert doc["message_type"] == "ep_status_report"
        return properties, doc["data"]

    def notice(self, seconds: float = 10) -> dict:
        properties, data = self.take("notices", seconds)
        assert data["global_state"]["heartbeat_period"] == 3
        assert data["task_statuses"] == {}
        assert properties.delivery_mode is None and not properties.headers
        return data

    def ready(self, queue_name: str) -> int:
        with self._connect() as c:
            return c.channel().queue_declare(f"{self.service.endpoint_id}.{queue_name}",
                                             passive=True).method.message_count


def creds(uep: str, url: str) -> dict:
    def info(kind: str) -> dict:
        return {"connection_url": url, "exchange": kind,
                "queue": f"{uep}.tasks" if kind == "tasks" else kind,
                "queue_publish_kwargs": {"exchange": kind, "routing_key": f"{uep}.{kind}",
                                         "mandatory": True, "properties": {"delivery_mode": 2}}}

    return {"endpoint_id": uep, "task_queue_info": info("tasks"), "result_queue_info": info("results"),
            "heartbeat_queue_info": info("heartbeats")}


def identity(username: str, sub: str | None = None) -> dict:
    sub = sub or str(uuid.uuid5(uuid.NAMESPACE_URL, username))
    return {"id": sub, "sub": sub, "username": username, "email": username, "name": username,
            "status": "used"}


def command(queues: Queues, username: str = "alice@example.org", uep: str | None = None,
            **changes) -> dict:
    uep = uep or str(uuid.uuid4())
    me = identity(username)
    doc = {
        "command": "cmd_start_endpoint",
        "args": [],
        "kwargs": {"name": f"uep.{queues.service.endpoint_id}.{uep}", "user_opts": {"n": 4},
                   "user_runtime": {"globus_compute_sdk_version": "4.19.0"},
                   "amqp_creds": queues.creds(uep)},
        "globus_username": username,
        "globus_effective_identity": me["id"],
        "globus_identity_set": [me],
    }
    for key, value in changes.items():
        if key in ("name", "amqp_creds", "user_opts", "user_runtime", "request_id"):
            doc["kwargs"][key] = value
        else:
            doc[key] = value
    return doc


# ---- the monitor ----

EXPRESSION = [{"DATA_TYPE": "expression_identity_mapping#1.0.0",
               "mappings": [{"source": "{username}", "match": "(.*)@example\\.org", "output": "{0}"}]}]


class Monitor:
    """Starts a listener and answers it.  `policy` gets each START and REFRESH and returns what to
    answer: (type, keyword arguments of send), or None for nothing."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path, service: Service,
                 config: str = "", mapping: object = EXPRESSION, schema: str | None = "{}",
                 template: str | None = "engine: {}\n", uuid_asked: str = "", root: bool = True,
                 seed: bool = False, debug: bool = False, environment: dict | None = None):
        self.folder = folder
        self.service = service
        self.got: queue.Queue[Message] = queue.Queue()
        self.all: list[Message] = []
        self.running: dict[tuple[str, str], tuple[int, str]] = {}
        self.policy: Callable[[Message], tuple | None] = self.start_all
        self.pid = 1000
        self._lock = threading.Lock()
        self._files: dict[int, pathlib.Path | None] = {}
        text = "email: a@example.org\n" + config
        if mapping is not None:
            text += f"identity_mapping_config_path: {folder}/idmap.json\n"
        if seed:
            text += "multi_user: true\n"
        self._write(CONFIG, "config.yaml", text)
        self._write(TEMPLATE, "user_config_template.yaml.j2", template)
        self._write(SCHEMA, "user_config_schema.json", schema)
        self._write(MAPPING, "idmap.json",
                    None if mapping is None else mapping if isinstance(mapping, str)
                    else json.dumps(mapping))
        tokens = {s: {"resource_server": s, "scope": "x", "access_token": f"token-{s}",
                      "token_type": "Bearer", "expires_at_seconds": int(time.time()) + 3600}
                  for s in ("funcx_service", "auth.globus.org")}
        self._write(TOKENS, "tokens.json", json.dumps(
            {"namespace": "user/local", "client_id": str(uuid.uuid4()), "tokens": tokens}))
        self._start(program, environment or {}, root)
        self._send_hello(uuid_asked, root, debug)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _write(self, kind: int, name: str, text: str | None) -> None:
        path = self.folder / name
        self._files[kind] = None
        if text is not None:
            path.write_text(text)
            path.chmod(0o600)
            self._files[kind] = path

    def _start(self, program: pathlib.Path, environment: dict, root: bool) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket = ours
        self.log_path = self.folder / "listener.log"
        number = theirs.fileno()

        def before() -> None:
            os.dup2(number, 3, inheritable=True)
            os.setsid()
            if os.geteuid() == 0 and root:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)

        env = {"GLOBUS_SDK_ENVIRONMENT": "local", "http_proxy": self.service.url,
               "GLOBUS_SDK_SERVICE_URL_AUTH": "http://localhost:5000/",
               **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}, **environment}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([program], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=log, env=env,
                                            preexec_fn=before, close_fds=False)
        theirs.close()

    def _send_hello(self, asked: str, root: bool, debug: bool) -> None:
        part = HELLO_PART.pack(2, debug, str(self.folder).encode(), asked.encode(), b"host.example.org",
                               b"root", root, root)
        self._send(HEAD.pack(HELLO, 0, 0, 0, 0) + part)
        for kind in self._files:
            self.send_file(kind)

    def _send(self, packet: bytes, fds: tuple[int, ...] = ()) -> None:
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([packet], control)

    def send_file(self, kind: int) -> None:
        path = self._files[kind]
        packet = HEAD.pack(FILE, 0, 0, 0, kind)
        if path is None or not path.exists():
            self._send(packet)
            return
        with open(path, "rb") as f:
            self._send(packet, (f.fileno(),))

    def send(self, kind: int, request: int = 0, code: int = 0, pid: int = 0, user: str = "",
             name: str = "", key: str = "", text: str = "", admin: str = "") -> None:
        packet = HEAD.pack(kind, code, request, pid, 0)
        if kind in (RUNNING, EXITED):
            packet += START_PART.pack(user.encode(), name.encode(), key.encode(), b"", b"", b"")
        elif kind == FAILED:
            packet += TEXT_PART.pack(text.encode(), admin.encode())
        self._send(packet)

    def start_all(self, m: Message) -> tuple:
        """As a monitor would whose starts all succeed."""
        key = (m.user, m.name)
        if m.type == REFRESH:
            return REFRESHED, {"code": 0 if key in self.running else 1}
        if key in self.running:
            pid, enckey = self.running[key]
            return RUNNING, {"pid": pid, "user": m.user, "name": m.name, "key": enckey}
        self.pid += 1
        self.running[key] = (self.pid, m.key)
        return STARTED, {"pid": self.pid}

    def exited(self, m: Message, status: int = 0) -> None:
        pid, _ = self.running.pop((m.user, m.name))
        self.send(EXITED, pid=pid, user=m.user, name=m.name, code=status)

    def _serve(self) -> None:
        while True:
            try:
                packet, control, _, _ = self.socket.recvmsg(65536, 1024)
            except OSError:
                return
            if not packet:
                return
            fds = [n for _, _, raw in control for n in array.array("i", raw)]
            m = decode(packet, fds)
            self.all.append(m)
            if m.type in (START, REFRESH) and (answer := self.policy(m)):
                try:
                    self.send(answer[0], request=m.request, **answer[1])
                except OSError:
                    return  # it has ended
            self.got.put(m)

    def next(self, kind: int, seconds: float = 10) -> Message:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                m = self.got.get(timeout=left)
            except queue.Empty:
                break
            if m.type == kind:
                return m
        raise AssertionError(f"no message of type {kind} within {seconds} s; the log:\n{self.log()}")

    def none(self, kind: int, seconds: float = 0.5) -> None:
        time.sleep(seconds)
        seen = collections.Counter()
        while not self.got.empty():
            seen[self.got.get().type] += 1
        assert not seen[kind]

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def logged(self, text: str, seconds: float = 10, count: int = 1) -> None:
        try:
            wait_for(f"log line {text!r}", lambda: self.log().count(text) >= count, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log()}") from None

    def up(self) -> "Monitor":
        self.next(REGISTERED, 20)
        self.logged("Awaiting messages from queue: ")
        return self

    def change_mapping(self, text: str | None) -> None:
        path = self.folder / "idmap.json"
        if text is None:
            path.unlink(missing_ok=True)
        else:
            new = self.folder / "idmap.new"
            new.write_text(text)
            new.rename(path)
        self._files[MAPPING] = path
        self.send_file(MAPPING)

    def stop(self, seconds: float = 20) -> int:
        """STOP, as the monitor says it; the exit status."""
        if self.process.poll() is None:
            try:
                self.send(STOP)
                self.process.wait(seconds)
            except (OSError, subprocess.TimeoutExpired):
                self.process.kill()
        code = self.process.wait(10)
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._thread.join(5)
        self.socket.close()
        return code
