"""amqps:// to a broker with a certificate of its own: the authorities are read before the listener
loses its files, and everything after that (reconnecting, notices) works without them."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from doubles import FAILED, START, Queues, Service, command
from support import rabbit as rabbit_support
from support.process import free_port
from support.rabbit import RabbitNode

PEM = serialization.Encoding.PEM


def authority(name):
    """Key and certificate of an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return key, certificate(subject, key.public_key(), subject, key, x509.BasicConstraints(True, 0), [])


def certificate(subject, public, issuer, key, constraints, names):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
               .serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(hours=1))
               .not_valid_after(now + datetime.timedelta(hours=1))
               .add_extension(constraints, critical=True))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256())


@pytest.fixture(scope="module")
def tls(session_folder):
    """A node that also listens for TLS, for localhost; `node.tls_port`, `node.authority`."""
    if reason := rabbit_support.why_not():
        pytest.skip(reason)
    folder = session_folder / "tls"
    folder.mkdir()
    folder.chmod(0o755)
    key, root = authority("the authority of a test")
    own = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    cert = certificate(subject, own.public_key(), root.subject, key, x509.BasicConstraints(False, None),
                       [x509.DNSName("localhost")])
    (folder / "ca.pem").write_bytes(root.public_bytes(PEM))
    (folder / "other.pem").write_bytes(authority("another one")[1].public_bytes(PEM))
    (folder / "cert.pem").write_bytes(cert.public_bytes(PEM))
    (folder / "key.pem").write_bytes(own.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    port = free_port()
    more = (f"listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {folder}/ca.pem\n"
            f"ssl_options.certfile = {folder}/cert.pem\nssl_options.keyfile = {folder}/key.pem\n"
            "ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n")
    with RabbitNode(folder / "rabbit", more) as node:
        node.tls_port, node.authority = port, folder / "ca.pem"
        yield node


@pytest.fixture
def web(tls):
    service = Service(f"amqps://{tls.user}:{tls.password}@localhost:{tls.tls_port}/%2F")
    yield service
    service.stop()


@pytest.fixture
def queues(web, tls):
    return Queues(web, tls.connect)


def test_commands_heartbeats_and_notices(listen, queues, tls):
    monitor = listen(config="heartbeat_period: 5\n", environment={"SSL_CERT_FILE": str(tls.authority)}).up()
    assert "locked up: empty root directory" in monitor.log()
    queues.take("beats")
    queues.send(command(queues))
    monitor.next(START)
    # The requester is told over a connection of the user endpoint's own credentials.
    monitor.policy = lambda m: (FAILED, {"code": 87, "text": "(FileNotFoundError) x"})
    queues.send(command(queues))
    assert "(FileNotFoundError) x" in queues.notice()["global_state"]["error"]


def test_connects_again_without_its_files(listen, queues, tls):
    monitor = listen(config="heartbeat_period: 5\n", environment={"SSL_CERT_FILE": str(tls.authority)}).up()
    queues.take("beats")
    tls.crash()
    monitor.logged("Unable to sustain connection (commands); retrying ...")
    tls.start()
    monitor.logged("Awaiting messages from queue: ", 40, count=2)
    queues.send(command(queues))
    monitor.next(START)


@pytest.mark.parametrize("trusted,host,why", [
    ("other.pem", "localhost", "SSL peer cert verification failed"),
    ("ca.pem", "127.0.0.1", "SSL hostname verification failed")])
def test_a_broker_that_is_not_trusted(listen, web, tls, trusted, host, why):
    """An authority that is not ours, a name that is not the certificate's."""
    web.rabbit_url = web.rabbit_url.replace("@localhost:", f"@{host}:")
    monitor = listen(environment={"SSL_CERT_FILE": str(tls.authority.parent / trusted)})
    monitor.logged("Unable to sustain connection (commands); retrying ...", 20)
    line = next(x for x in monitor.log().splitlines() if "sustain connection (commands)" in x)
    assert why in line
    assert monitor.process.poll() is None
