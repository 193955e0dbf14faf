"""TLS of the service's own: HTTPS and AMQPS with a site's certificate, and its renewal."""

import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys

import pytest

from support.certificates import Authority
from support.process import Daemon, free_port, wait_for
from support.rabbit import why_not as no_rabbit
from support.sdk import run_script
from support.stack import BASE_ENVIRONMENT, Manager

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
SCRIPT = """
import sys
from globus_compute_sdk import Executor
with Executor(sys.argv[1]) as executor:
    executor.user_endpoint_config = {"NODES_PER_BLOCK": 1}
    print(sum(f.result(120) for f in [executor.submit(pow, 2, n) for n in range(5)]))
"""


@pytest.fixture(scope="module")
def authority(session_folder):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    return Authority(session_folder / "tls authority")


class House:
    """`sallyport broker` and `sallyport serve` over TLS, started the way the manual tells it."""

    def __init__(self, prefix, folder, authority):
        self.sallyport = prefix / "bin" / "sallyport"
        self.folder, self.authority = folder, authority
        self.cert, self.key = authority.sign(folder.name)
        self.port, self.tunnel = free_port(), free_port()
        self.data = folder / "data"
        self.data.mkdir(mode=0o711)
        (self.data / "service.yaml").write_text(json.dumps({
            "listen": [f"127.0.0.1:{self.port}"], "public_url": f"https://localhost:{self.port}",
            "tls": {"cert": str(self.cert), "key": str(self.key), "connect": f"127.0.0.1:{self.tunnel}"},
            "broker": {"client_host": "localhost", "tls": {
                "cert": str(self.cert), "key": str(self.key), "ca": str(authority.pem)}}}))
        self.broker = self.service = None
        try:
            self.broker = self.daemon("broker")
            self.service = self.daemon("serve")
        except BaseException:
            self.stop()
            raise

    def daemon(self, word):
        made = Daemon([self.sallyport, word, "--data", self.data], self.folder / f"{word}.out",
                      {**BASE_ENVIRONMENT, "HOME": str(self.folder)}, self.folder)

        def ready():
            made.check_alive()
            return "\nready " in "\n" + made.output()

        try:
            wait_for(word, ready, 90, 0.1)
        except BaseException:
            made.stop()
            raise
        return made

    def run(self, *words, stdin=""):
        return subprocess.run([self.sallyport, *words, "--data", self.data], check=True, text=True, timeout=30,
                              capture_output=True, input=stdin, env={"PATH": os.environ["PATH"]}).stdout

    def shell(self, *client):
        """The environment after the lines of `sallyport env` and `client add`."""
        lines = self.run("env", "--ca", str(self.authority.pem)) + self.run("client", "add", *client)
        done = subprocess.run(["sh", "-c", lines + "\nenv"], capture_output=True, text=True, timeout=10,
                              env={"PATH": os.environ["PATH"], "HOME": str(self.folder),
                                   "GLOBUS_COMPUTE_USER_DIR": str(self.folder / "user")})
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def stop(self):
        for part in (self.service, self.broker):
            if part:
                part.stop()


@pytest.fixture
def house(prefix, folder, authority):
    if reason := no_rabbit():
        pytest.skip(reason)
    made = House(prefix, folder, authority)
    yield made
    made.stop()


def serial(port, authority):
    context = ssl.create_default_context(cafile=authority.pem)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        with context.wrap_socket(s, server_hostname="localhost") as tls:
            return tls.getpeercert()["serialNumber"]


def test_from_the_sdk_to_a_user_endpoint_and_back(house, prefix, accounts, authority):
    """HTTPS, AMQPS to the manager, AMQPS to the user endpoint, AMQPS to the SDK; no plain port."""
    account = accounts.get("tls")
    house.run("user", "add", "tls@example.org", "--password-stdin", stdin="secret of tls")
    environment = house.shell("the manager")
    with Manager(prefix, house.folder, environment) as manager:
        manager.configure()
        config = manager.endpoint_folder / "config.yaml"
        assert "amqp_port: 443" in config.read_text()  # the hosted broker's, passed over here
        manager.map_identities((r"tls@example\.org", account.name))
        text = (EXAMPLES / "site" / "polaris_template.yaml").read_text()
        (manager.endpoint_folder / "user_config_template.yaml").write_text(
            text.replace("{{ ACCOUNT_ID }}", "{{ ACCOUNT_ID|default() }}"))
        manager.write("user_environment.yaml",
                      f"PATH: {prefix}/bin:{pathlib.Path(sys.executable).parent}:/usr/bin:/bin\n")
        endpoint = manager.start()
        ran = run_script(SCRIPT, house.shell("script", "--as", "tls@example.org"), endpoint, timeout=200)
        assert ran.check().out.strip() == "31", manager.log()[-3000:]
    conf = (house.data / "broker" / "rabbitmq.conf").read_text()
    assert "listeners.tcp = none" in conf
    # Renewal: the files are replaced, a signal says so, nobody is cut off.
    before = serial(house.port, authority)
    new = authority.sign("renewed")
    shutil.copy(new[0], house.cert)
    shutil.copy(new[1], house.key)
    house.service.process.send_signal(signal.SIGHUP)
    wait_for("the new certificate", lambda: serial(house.port, authority) != before, 20)
    house.broker.process.send_signal(signal.SIGHUP)
    wait_for("the broker's copy", lambda: (house.data / "broker" / "tls.crt").read_bytes() == new[0].read_bytes(), 20)
    broker = json.loads((house.data / "broker-runs.json").read_text())["amqp"]
    assert serial(broker, authority) in (before, serial(house.port, authority))
    # A renewal that went wrong changes nothing.
    house.cert.write_text("nonsense")
    house.service.process.send_signal(signal.SIGHUP)
    wait_for("the complaint", lambda: "the old one stays in use" in house.service.output(), 20)
    assert serial(house.port, authority) != before
    run_script("from globus_compute_sdk import Client\nClient().get_endpoints()", house.shell("last")).check()


def test_certificates_that_do_not_do(prefix, folder, authority):
    cert, key = authority.sign("good")
    other = authority.sign("other")[1]
    expired = authority.expired("good")
    elsewhere = authority.sign("elsewhere", "elsewhere.example.org")
    empty = folder / "empty.pem"
    empty.write_text("")
    url = ["--public-url", "https://compute.example.org"]
    cases = [
        ([cert, folder / "absent.key"], [], "absent.key: No such file"),
        ([folder / "absent.pem", key], [], "absent.pem: No such file"),
        ([cert, other], [], "other.key is not that of the certificate"),
        ([expired, key], [], "good-expired.pem expired on 2020-02-01"),
        ([key, key], [], "good.key holds no certificate in PEM form"),
        ([cert, cert], [], "good.pem holds no key in PEM form"),
        ([empty, key], [], "empty.pem holds no certificate"),
        (elsewhere, url, "is for elsewhere.example.org, and clients use compute.example.org"),
    ]
    for files, more, words in cases:
        done = subprocess.run([prefix / "bin" / "sallyport", "serve", "--data", folder / "data", "--port", "0",
                               "--cert", files[0], "--key", files[1], *more], capture_output=True, text=True,
                              timeout=30, env=BASE_ENVIRONMENT)
        errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        assert done.returncode == 1 and len(errors) == 1 and words in errors[0], (words, done.stderr)
    (folder / "data" / "service.yaml").write_text(json.dumps({"broker": {
        "client_host": "localhost", "tls": {"cert": str(elsewhere[0]), "key": str(elsewhere[1])}}}))
    for word in ("serve", "broker"):
        done = subprocess.run([prefix / "bin" / "sallyport", word, "--data", folder / "data",
                               *(["--port", "0"] if word == "serve" else [])], capture_output=True, text=True,
                              timeout=60, env=BASE_ENVIRONMENT)
        assert done.returncode == 1 and "broker.tls: the certificate" in done.stderr, done.stderr
