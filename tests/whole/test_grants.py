"""Start grants: with the service's public key in its config.yaml a manager starts what this service
has signed and nothing else, whoever holds a password of the broker."""

import base64
import hashlib
import hmac
import json
import re
import sys
import time
import uuid

import pika
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support.process import processes_of, wait_for
from support.sdk import run_script
from support.stack import Manager, Service

TEMPLATE = "engine: {type: ThreadPoolEngine}\ndisplay_name: {{ WHO|default('x') }}\n"
SUBMIT = """
    import sys
    from globus_compute_sdk import Executor

    def which(n):
        return n

    with Executor(endpoint_id=sys.argv[1], user_endpoint_config={"WHO": sys.argv[2]}) as ex:
        try:
            print("GOT", ex.submit(which, 7).result(60))
        except BaseException as e:
            print("FAILED", type(e).__name__, e)
"""


@pytest.fixture(scope="module")
def signed(prefix, session_folder, accounts):
    """A service of its own, whose key a test may change, and a manager that demands its grants."""
    folder = session_folder / "signed"
    folder.mkdir()
    folder.chmod(0o711)
    with Service(prefix, folder / "service") as service:
        client = service.client("administrator of the signed site")
        with Manager(prefix, folder, service.environment(folder, client), "signed") as manager:
            manager.configure()
            manager.service = service
            manager.account = accounts.get("signed")
            manager.map_identities((r"ada@example\.org", manager.account.name))
            manager.write("user_config_template.yaml", TEMPLATE)
            manager.write("user_config_schema.json", {})
            manager.write("user_environment.yaml",
                          f"PATH: {prefix}/bin:{sys.executable.rsplit('/', 1)[0]}:/usr/bin:/bin\n")
            config = manager.endpoint_folder / "config.yaml"
            manager.plain_config = config.read_text()
            config.write_text(manager.plain_config + service.command("grant-key"))
            service.user("ada@example.org")
            home = folder / "ada"
            home.mkdir()
            manager.ada = service.environment(home, service.client("ada's scripts", "ada@example.org"))
            manager.endpoint_id = manager.start()
            yield manager


def submit(manager, who):
    return run_script(SUBMIT, manager.ada, manager.endpoint_id, who, timeout=120).check().out.strip()


def starts(manager):
    return len(re.findall("Command process successfully forked", manager.log()))


class Thief:
    """Somebody with the most powerful password that the broker knows: the service's own."""

    def __init__(self, service):
        data = service.folder / "data"
        text = b"other:the service's own password"
        digest = hmac.new((data / "broker.key").read_bytes(), text, hashlib.sha256).digest()
        password = "p" + base64.urlsafe_b64encode(digest).decode().rstrip("=")[1:]
        port = json.loads((data / "broker" / "ports.json").read_text())["amqp"]
        self.connection = pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", port, credentials=pika.PlainCredentials("sallyport-service", password)))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()

    def listen(self, exchange, key):
        queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.queue_bind(queue, exchange, key)
        return queue

    def get(self, queue):
        def one():
            method, properties, body = self.channel.basic_get(queue, auto_ack=True)
            return (properties, body) if method else None
        return wait_for(f"a message in {queue}", one)

    def send(self, endpoint, body, headers):
        self.channel.basic_publish("commands", f"{endpoint}.commands", body, pika.BasicProperties(
            content_type="application/json", timestamp=int(time.time()), headers=headers))


def b64(b):
    return base64.urlsafe_b64encode(b).rstrip(b"=").decode()


def sign(key, payload):
    first = b64(json.dumps(payload, separators=(",", ":")).encode())
    return first + "." + b64(key.sign(b"sallyport-grant-v1." + first.encode()))


def payload_of(header):
    first = header.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))


def test_signed_commands_start(signed):
    key = signed.service.folder / "data" / "grant.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert signed.service.command("grant-key").split()[2] in (signed.endpoint_folder / "config.yaml").read_text()
    assert submit(signed, "first") == "GOT 7"
    assert starts(signed) == 1


def test_a_stolen_broker_password_starts_nothing(signed):
    thief = Thief(signed.service)
    commands = thief.listen("commands", f"{signed.endpoint_id}.commands")
    assert submit(signed, "second") == "GOT 7"
    properties, body = thief.get(commands)
    real = properties.headers["sallyport-grant"]
    command = json.loads(body)
    assert payload_of(real)["user"] == command["globus_effective_identity"]
    for identity in command["globus_identity_set"]:  # M30, A27: what the original's mapping can't do without
        assert identity["id"] and identity["status"] == "used" and None not in identity.values(), identity
    before, running = starts(signed), len(processes_of(signed.account.uid))
    uep = str(uuid.uuid4())
    reports = thief.listen("heartbeats", "#")
    new = body.replace(payload_of(real)["user_endpoint"].encode(), uep.encode())
    altered = body.replace(b'"second"', b'"sec0nd"')
    assert new != body and altered != body
    mine = Ed25519PrivateKey.generate()
    secret = base64.b64decode((signed.service.folder / "data" / "grant.key").read_text().split()[0])
    own = Ed25519PrivateKey.from_private_bytes(secret)
    fresh = {**payload_of(real), "user_endpoint": uep, "nonce": "0" * 32,
             "sha256": hashlib.sha256(new).hexdigest()}
    # Who has no login of that user endpoint can't be told; the log says it each time.
    for body_of_it, grant, sentence in (
            (new, None, "the command has no start grant"),
            (new, sign(mine, fresh), "the start grant is not signed with the key of this service"),
            (new, real, "the start grant is for another user_endpoint"),
            (altered, real, "the start grant is for another message"),
            (new, sign(own, {**fresh, "endpoint": str(uuid.uuid4())}), "the start grant is for another endpoint"),
            (new, sign(own, {**fresh, "user": str(uuid.uuid4())}), "the start grant is for another user"),
            (new, sign(own, {**fresh, "expires": int(time.time()) - 5}), "the start grant has expired")):
        at = len(signed.log())
        thief.send(signed.endpoint_id, body_of_it, {"sallyport-grant": grant} if grant else {})
        wait_for(sentence, lambda: f"accepts signed start commands only: {sentence}" in signed.log()[at:])

    def told():
        data = json.loads(thief.get(reports)[1][1:])["data"]
        return data["global_state"].get("error") and data
    notice = wait_for("the notice about the altered one", told)
    assert notice["endpoint_id"] == payload_of(real)["user_endpoint"]
    assert notice["global_state"]["error"].startswith(
        "Ignoring command from server\n  This endpoint accepts signed start commands only: the start grant is for "
        "another message"), notice
    thief.send(signed.endpoint_id, body, {"sallyport-grant": real})  # word for word, a second time
    wait_for("the refusal", lambda: "Its start grant has been used before" in signed.log())
    assert starts(signed) == before and len(processes_of(signed.account.uid)) == running
    # The same bytes, signed with the real key, do start: it was the grant that stood in the way.
    thief.send(signed.endpoint_id, new, {"sallyport-grant": sign(own, {**fresh, "expires": int(time.time()) + 60})})
    wait_for("a start", lambda: starts(signed) == before + 1)
    thief.connection.close()


def test_both_keys_are_good_until_the_old_one_ends(signed):
    service = signed.service
    old = service.command("grant-key").split()[2]
    service.command("grant-key", "rotate", "--days", "1")
    keys = json.loads(service.command("grant-key", "--json"))
    assert keys[1]["grant_key"] == old and abs(keys[1]["until"] - time.time() - 86400) < 600
    assert keys[0]["grant_key"] != old and "until" not in keys[0]
    assert submit(signed, "with the old key") == "GOT 7"
    service.command("grant-key", "rotate", "--days", "0")
    said = submit(signed, "with a key that is void")
    assert said.startswith("FAILED") and "SEMANTICALLY_INVALID" in said
    assert "the start grant is not signed with the key of this service" in said, said
    signed.stop()
    (signed.endpoint_folder / "config.yaml").write_text(signed.plain_config + service.command("grant-key"))
    signed.start()
    assert submit(signed, "with the new key") == "GOT 7"
