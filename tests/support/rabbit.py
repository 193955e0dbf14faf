"""A private RabbitMQ node: own name, ports, epmd, cookie and data; the system's is never touched."""

from __future__ import annotations

import os
import pathlib
import secrets
import shutil
import signal

import pika

from support.process import Daemon, free_port, wait_for

SERVER = pathlib.Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def why_not() -> str | None:
    """None when a node can be started here, else the reason."""
    if not SERVER.exists():
        return "rabbitmq-server is not installed"
    if not shutil.which("epmd"):
        return "Erlang's epmd is not installed"
    return None


class RabbitNode:
    """`url` is the AMQP URL of its administrator; `more` are further lines of rabbitmq.conf."""

    def __init__(self, folder: pathlib.Path, more: str = "", plugins: str = ""):
        self.folder = folder
        self.port = free_port()
        self.user = "admin"
        self.password = "a" + secrets.token_hex(16)
        self._epmd_port = free_port()
        self._dist_port = free_port()
        self._more = more
        self._plugins = plugins
        self._node: Daemon | None = None
        self._epmd: Daemon | None = None

    @property
    def url(self) -> str:
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}/%2F"

    def environment(self) -> dict[str, str]:
        """What rabbitmqctl needs to talk to this node."""
        return {
            "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"sallyport{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "absent"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            # Two cores are shared with everything else: no busy schedulers.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none "
                "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def start(self) -> RabbitNode:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "enabled_plugins").write_text(f"[{self._plugins}].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"default_user = {self.user}\ndefault_pass = {self.password}\n"
            "loopback_users = none\nlog.file.level = warning\n"
            "vm_memory_high_watermark.absolute = 512MiB\ndisk_free_limit.absolute = 1MiB\n"
            + self._more)
        environment = self.environment()
        if not self._epmd:
            self._epmd = Daemon(["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)],
                                self.folder / "epmd.out", environment)
        self._node = Daemon([SERVER], self.folder / "node.out", environment, self.folder)
        wait_for(f"RabbitMQ on port {self.port}", self._answers, 90, 0.2)
        return self

    def _answers(self) -> bool:
        assert self._node
        self._node.check_alive()
        try:
            self.connect().close()
        except (OSError, pika.exceptions.AMQPError):
            return False
        return True

    def connect(self) -> pika.BlockingConnection:
        return pika.BlockingConnection(pika.URLParameters(self.url + "?socket_timeout=5"))

    def crash(self) -> None:
        """kill -9 of the node; start() brings it back with its data."""
        if self._node:
            os.killpg(self._node.pid, signal.SIGKILL)
            self._node.process.wait(10)
            self._node = None

    def stop(self) -> None:
        self.crash()  # its data is thrown away: no need for manners
        if self._epmd:
            self._epmd.stop()
            self._epmd = None

    def __enter__(self) -> RabbitNode:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
