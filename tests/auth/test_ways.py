"""The three ways in for the unmodified SDK (docs/connecting.md): same host, plain HTTP, TLS.

Each with the very lines that `sallyport env` prints."""

import os
import pathlib
import socket
import ssl
import subprocess
import urllib.request

import pytest

from support.certificates import Authority
from support.process import Daemon, free_port, wait_for
from support.rabbit import why_not as no_rabbit
from support.sdk import run_script
from support.stack import BASE_ENVIRONMENT

SCRIPT = """
from globus_compute_sdk import Client
client = Client()
print(client.get_endpoints(role="owner"), client.auth_client.userinfo()["preferred_username"])
"""


class House:
    """`sallyport serve` with any options."""

    def __init__(self, prefix: pathlib.Path, folder: pathlib.Path, *options: str):
        self.sallyport = prefix / "bin" / "sallyport"
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.daemon = Daemon([self.sallyport, "serve", "--data", folder / "data", "--debug", *options],
                             folder / "serve.out", {**BASE_ENVIRONMENT, "HOME": str(folder)}, folder)
        try:
            wait_for("the service", self._ready, 90, 0.1)
        except BaseException:
            self.stop()
            raise

    def _ready(self) -> bool:
        self.daemon.check_alive()
        return "\nready " in "\n" + self.daemon.output()

    def stop(self) -> None:
        self.daemon.stop()

    def run(self, *words: str) -> str:
        return subprocess.run([self.sallyport, *words, "--data", self.folder / "data"], check=True, text=True,
                              capture_output=True, timeout=30, env={"PATH": os.environ["PATH"]}).stdout

    def shell(self, *env_options: str, **more: str) -> dict[str, str]:
        """The environment after `eval "$(sallyport env)"` and the lines of `client add`."""
        lines = self.run("env", *env_options) + self.run("client", "add", "script")
        base = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "no_proxy": "localhost", **more,
                "GLOBUS_COMPUTE_USER_DIR": str(self.folder / "user")}
        done = subprocess.run(["sh", "-c", lines + "\nenv"], env=base, capture_output=True, text=True, timeout=10)
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


@pytest.fixture
def open_house(prefix, folder):
    if reason := no_rabbit():
        pytest.skip(reason)
    houses = []

    def start(*options):
        houses.append(House(prefix, folder / f"house{len(houses)}", *options))
        return houses[-1]

    yield start
    for house in houses:
        house.stop()


def test_same_host(open_house):
    """Recipe A: port 5000, two variables."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((address, 5000))
            except OSError:
                pytest.skip("somebody has port 5000")
    house = open_house()
    environment = house.shell()
    assert environment["GLOBUS_SDK_SERVICE_URL_AUTH"] == "http://localhost:5000/"
    assert "http_proxy" not in environment
    ran = run_script(SCRIPT, environment).check()
    assert ran.out.startswith("[] ")


def test_another_host_over_plain_http(open_house):
    """Recipe B, A2: every request in absolute form through http_proxy."""
    port = free_port()
    house = open_house("--port", str(port))
    environment = house.shell()
    assert environment["http_proxy"] == f"http://localhost:{port}" and "no_proxy" not in environment
    run_script(SCRIPT, environment).check()
    # By another name of the host, as users elsewhere have it.
    environment = house.shell("--url", f"http://127.0.0.1:{port}")
    assert environment["GLOBUS_SDK_SERVICE_URL_AUTH"] == f"http://127.0.0.1:{port}/"
    run_script(SCRIPT, environment).check()


def connect(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        try:
            s.sendall(request)
            return s.recv(4096)
        except ConnectionError:
            return b""


def test_tls(open_house, folder):
    """Recipe C, A3: the production names over TLS, with the site's own CA."""
    authority = Authority(folder / "ca")
    ca, (cert, key) = authority.pem, authority.sign("site")
    port, tunnel = free_port(), free_port()
    url = f"https://localhost:{port}/"
    house = open_house("--listen", f"127.0.0.1:{port}", "--cert", str(cert), "--key", str(key),
                       "--connect", f"127.0.0.1:{tunnel}", "--public-url", url)
    environment = house.shell("--ca", str(ca))
    assert "GLOBUS_SDK_ENVIRONMENT" not in environment
    assert environment["https_proxy"] == f"http://localhost:{tunnel}" and environment["no_proxy"] == "localhost"
    assert environment["GLOBUS_SDK_VERIFY_SSL"] == str(ca)
    run_script(SCRIPT, environment).check()
    assert "GET /v2/endpoints status=200" in house.daemon.output()
    del environment["GLOBUS_SDK_VERIFY_SSL"]
    refused = run_script(SCRIPT, environment, timeout=150)
    assert refused.code != 0 and "certificate verify failed" in refused.err.lower(), refused.err[-2000:]
    # TLS without the tunnel: everything of ours, by its own name.
    trust = ssl.create_default_context(cafile=ca)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    with opener.open(url + "web/sign-in", timeout=20) as reply:
        assert "Secure" in reply.headers["Set-Cookie"]
    # Other names, other methods, half a request.
    assert connect(tunnel, b"CONNECT example.org:443 HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 403")
    assert connect(tunnel, b"GET http://localhost/ HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405")
    assert connect(tunnel, b"\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert connect(tunnel, b"CONNECT " + b"x" * 5000 + b"\r\n\r\n") == b""
    assert connect(tunnel, b"CONNECT compute.api.globus.org:443 HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")
    run_script(SCRIPT, {**environment, "GLOBUS_SDK_VERIFY_SSL": str(ca)}).check()
