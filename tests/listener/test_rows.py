"""Every row of the table of start requests (endpoint-manager.md 6), in its order."""

import base64
import hashlib
import json
import time
import uuid

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from doubles import (BAD_ACCOUNT, FAILED, FATAL, LIMIT, NO_ACCOUNT, REFRESH, SAME_USER, START, command,
                     identity)
from support.process import wait_for


def empty(queues):
    """Every command is acknowledged in the end."""
    wait_for("commands acknowledged", lambda: queues.ready("commands") == 0)


def test_good_request(listen, queues, web):
    monitor = listen().up()
    doc = command(queues, request_id="req-77")
    queues.send(doc)
    m = monitor.next(START)
    uep = doc["kwargs"]["amqp_creds"]["endpoint_id"]
    assert (m.user, m.name, m.id) == ("alice", doc["kwargs"]["name"], uep)
    assert m.command == f"globus-compute-endpoint _start-user-endpoint {m.name}"
    assert json.loads(Fernet(m.key).decrypt(m.credentials)) == {"amqp_creds": doc["kwargs"]["amqp_creds"]}
    blob = m.blob
    me = doc["globus_identity_set"][0]["id"]
    assert blob["name"] == m.name and blob["account"] == "alice" and blob["enckey"] == m.key
    assert blob["argv"] == ["globus-compute-endpoint", "_start-user-endpoint", m.name]
    assert blob["amqp_creds"] == doc["kwargs"]["amqp_creds"]
    assert blob["user_opts"] == {"n": 4}
    assert blob["ep_info"] == {"globus_candidate_identities": [[{me: ["alice"]}]],
                               "globus_matched_identity": me}
    assert blob["globus_id"] == me
    assert blob["correlation_id"] == "req-77"
    assert blob["parent_config_source"].startswith("email: a@example.org")
    assert blob["template_path"] == str(monitor.folder / "user_config_template.yaml.j2")
    assert "allowed_functions" not in blob
    monitor.logged(f"Command process successfully forked for 'alice' (Globus effective identity: {me}).")
    monitor.logged("[request req-77]")
    empty(queues)
    # Nothing of the credentials is in the log.
    password = web.rabbit_url.split(":")[2].split("@")[0]
    assert password not in monitor.log()


ROWS_WITHOUT_NOTICE = [
    ({"content_type": "text/plain"}, None, "(ValueError) Invalid message type"),
    ({"timestamp": None}, None, "(TypeError) "),
    ({}, b"{nonsense", "(JSONDecodeError) "),
    ({}, b"[1, 2]", "(AttributeError) "),
]


@pytest.mark.parametrize("properties,body,text", ROWS_WITHOUT_NOTICE)
def test_row_1_unreadable(listen, queues, properties, body, text):
    monitor = listen().up()
    queues.send(body or command(queues), **properties)
    monitor.logged("Unable to deserialize Globus Compute services command.  " + text)
    empty(queues)
    monitor.none(START)
    assert queues.ready("notices") == 0


@pytest.mark.parametrize("skew", [-200, 200])
def test_row_2_too_old(listen, queues, skew):
    monitor = listen().up()
    doc = command(queues)
    queues.send(doc, timestamp=int(time.time()) + skew)
    notice = queues.notice()
    text = notice["global_state"]["error"]
    assert notice["endpoint_id"] == doc["kwargs"]["amqp_creds"]["endpoint_id"]
    assert text.startswith("Ignoring command from server\nCommand too old or skew between system "
                           "clocks is too large.\n  Command timestamp:  ")
    assert "\n  Endpoint timestamp: 1," in text
    monitor.none(START)
    empty(queues)


@pytest.mark.parametrize("skew", [-170, 170])
def test_small_skew_is_fine(listen, queues, skew):
    monitor = listen().up()
    queues.send(command(queues), timestamp=int(time.time()) + skew)
    monitor.next(START)


@pytest.mark.parametrize("key", ["globus_effective_identity", "globus_identity_set", "globus_username"])
def test_row_3_missing_key(listen, queues, key):
    monitor = listen().up()
    doc = command(queues)
    del doc[key]
    queues.send(doc)
    assert queues.notice()["global_state"]["error"] == f"Invalid server command.  (KeyError) '{key}'"
    monitor.logged(f"Invalid server command.  (KeyError) '{key}'")
    monitor.none(START)
    empty(queues)


def test_row_4_untrusted(listen, queues, web):
    monitor = listen(mapping=None).up()
    doc = command(queues)
    queues.send(doc)
    text = queues.notice()["global_state"]["error"]
    assert text == ("Ignoring start request for untrusted identity."
                    f"\n  Globus effective identity: {doc['globus_effective_identity']}"
                    "\n  Globus username: alice@example.org")
    # A malformed set counts as empty; one of ours is enough.
    queues.send(command(queues, globus_identity_set="nonsense"))
    assert queues.notice()["global_state"]["error"].startswith("Ignoring start request")
    ours = [identity("x@y"), identity("z@y", web.identities[0])]
    queues.send(command(queues, globus_identity_set=ours))
    m = monitor.next(START)
    assert m.user == "root" and m.blob["ep_info"] == {} and "globus_id" not in m.blob
    empty(queues)


def test_row_5_unmapped_comes_before_an_unknown_command(listen, queues):
    monitor = listen().up()
    doc = command(queues, username="eve@elsewhere.org", command="cmd_nonsense")
    queues.send(doc)
    text = queues.notice()["global_state"]["error"]
    assert text == ("Identity failed to map to a local user name.  (LookupError) "
                    f"\n  Globus effective identity: {doc['globus_effective_identity']}"
                    "\n  Globus username: eve@elsewhere.org")
    monitor.none(START)
    empty(queues)


def no_account(doc, name):
    return ("(KeyError)\n  Identity mapped to a local user name, but local user does not exist."
            f"\n  Local user name: {name}"
            f"\n  Globus effective identity: {doc['globus_effective_identity']}"
            f"\n  Globus username: {doc['globus_username']}")


def test_row_6_no_account(listen, queues):
    monitor = listen().up()
    monitor.policy = lambda m: (FAILED, {"code": NO_ACCOUNT})
    doc = command(queues)
    queues.send(doc)
    assert queues.notice()["global_state"]["error"] == no_account(doc, "alice")
    monitor.logged("(KeyError) \"getpwnam(): name not found: 'alice'\"")
    empty(queues)


def test_row_6_comes_before_7(listen, queues):
    monitor = listen().up()
    doc = command(queues, username="no-such-user-here@example.org", command="cmd_nonsense")
    queues.send(doc)
    assert queues.notice()["global_state"]["error"] == no_account(doc, "no-such-user-here")
    monitor.none(START)


OPAQUE = ("(InvalidCommandError) unexpected error; this is due to either an endpoint misconfiguration or "
          "a programming error.")


@pytest.mark.parametrize("changes,text", [
    ({"command": "cmd_nonsense"}, "Unknown or invalid command: cmd_nonsense"),
    ({"command": "rm -rf"}, "Unknown or invalid command: rm -rf"),
    ({"command": None}, "Unknown or invalid command: None"),
    ({"command": 5}, "Unknown or invalid command: 5"),
    ({"name": ""}, "Missing endpoint name"),
    ({"name": None}, "Missing endpoint name"),
    ({"name": "../x"}, "Invalid endpoint name: ../x"),
    ({"name": "-x"}, "Invalid endpoint name: -x"),
    ({"name": "a b"}, "Invalid endpoint name: a b"),
    ({"name": "a\0b"}, "Invalid endpoint name"),
    ({"name": "x" * 10000}, "Invalid endpoint name: xxx"),
    ({"name": 7}, "Invalid endpoint name"),
    ({"args": [1]}, "Invalid endpoint name or arguments"),
    ({"args": "abc"}, "Invalid endpoint name or arguments"),
])
def test_rows_7_and_8(listen, queues, changes, text):
    monitor = listen().up()
    # The account must exist, or row 6 comes first.
    queues.send(command(queues, username="daemon@example.org", **changes))
    assert queues.notice()["global_state"]["error"].startswith(OPAQUE)
    monitor.logged("(InvalidCommandError) " + text)
    monitor.none(START, 0.2)
    empty(queues)


def test_row_9_same_user(listen, queues):
    monitor = listen().up()
    monitor.policy = lambda m: (FAILED, {"code": SAME_USER, "admin": "uid 0"})
    queues.send(command(queues))
    assert queues.notice()["global_state"]["error"].startswith(
        OPAQUE.replace("InvalidCommandError", "InvalidUserError"))
    monitor.logged("(InvalidUserError) Requested UID is same as")
    empty(queues)


def test_row_10_without_credentials(listen, queues):
    monitor = listen().up()
    queues.send(command(queues, username="daemon@example.org", amqp_creds=None))
    monitor.logged("Unable to execute command: cmd_start_endpoint")
    monitor.logged("Nobody can be told")
    monitor.none(START)
    empty(queues)


def test_failures_of_the_child(listen, queues):
    monitor = listen().up()
    monitor.policy = lambda m: (FAILED, {
        "code": 77, "text": f"(ValidationError) 5 is not of type 'string' in '{monitor.folder}/schema.json'",
        "admin": "detail for the administrator"})
    queues.send(command(queues, request_id="r-9"))
    assert queues.notice()["global_state"]["error"] == (
        "Unable to start user endpoint process for alice [exit code: 77; (ValidationError) 5 is not of "
        "type 'string' in 'schema.json']")
    monitor.logged("is told: Unable to start user endpoint process for alice [exit code: 77;")
    monitor.logged("[request r-9]")
    monitor.policy = lambda m: (FAILED, {"code": BAD_ACCOUNT, "text": "see your system administrator",
                                         "admin": "the shell is /usr/sbin/nologin"})
    queues.send(command(queues))
    assert queues.notice()["global_state"]["error"].endswith("for alice: see your system administrator")
    monitor.policy = lambda m: (FAILED, {"code": LIMIT, "text": "You have 5 user endpoints; 5 are allowed"})
    queues.send(command(queues))
    assert queues.notice()["global_state"]["error"] == "You have 5 user endpoints; 5 are allowed"
    empty(queues)


def test_old_sdk_and_arguments(listen, queues):
    monitor = listen(config="allowed_functions: [00000000-0000-4000-8000-000000000001]\n").up()
    doc = command(queues, args=["--debug", "x y"], user_runtime={"globus_compute_sdk_version": "4.9.1"})
    queues.send(doc)
    m = monitor.next(START)
    name = doc["kwargs"]["name"]
    assert m.blob["argv"] == ["globus-compute-endpoint", "start", name, "--debug", "x y",
                              "--die-with-parent"]
    assert m.blob["allowed_functions"] == ["00000000-0000-4000-8000-000000000001"]


def test_debug_header_masks_passwords(listen, queues, web):
    monitor = listen().up()
    queues.send(command(queues), headers={"debug": True})
    monitor.logged("Command debug requested:")
    assert web.rabbit_url.split(":")[2].split("@")[0] not in monitor.log()


def test_notice_connections_are_shared_and_credentials_refused(listen, queues, web):
    monitor = listen().up()
    uep = str(uuid.uuid4())
    bad = json.loads(json.dumps(queues.creds(uep)).replace(web.rabbit_url, "amqp://no:body@" +
                                                          web.rabbit_url.split("@")[1]))
    queues.send(command(queues, username="eve@x", amqp_creds=bad))
    monitor.logged("The requester can't be told: ")
    queues.send(*[command(queues, username="eve@x") for _ in range(20)])
    for _ in range(20):
        queues.notice()
    empty(queues)
    monitor.none(REFRESH, 0)


def test_fernet_key_shape(listen, queues):
    monitor = listen().up()
    queues.send(command(queues))
    assert len(base64.urlsafe_b64decode(monitor.next(START).key)) == 32


# ---- start grants (lib/grant) ----

def grant(key, doc, endpoint_id, raw, lifetime=60, **changes):
    """What the service puts into the header; made by another implementation."""
    text = {"v": 1, "endpoint": endpoint_id, "user": doc["globus_effective_identity"],
            "user_endpoint": doc["kwargs"]["amqp_creds"]["endpoint_id"],
            "sha256": hashlib.sha256(raw).hexdigest(), "nonce": uuid.uuid4().hex,
            "expires": int(time.time()) + lifetime, **changes}

    def b64(b):
        return base64.urlsafe_b64encode(b).rstrip(b"=").decode()

    first = b64(json.dumps(text, separators=(",", ":")).encode())
    return first + "." + b64(key.sign(b"sallyport-grant-v1." + first.encode()))


def test_start_grants(listen, queues, web):
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    monitor = listen(config=f"sallyport:\n  grant_key: {public}\n").up()
    doc = command(queues)
    raw = json.dumps(doc).encode()
    good = grant(key, doc, web.endpoint_id, raw)
    queues.send(raw, headers={"sallyport-grant": good})
    monitor.next(START)
    bad = [None, good + "A", grant(Ed25519PrivateKey.generate(), doc, web.endpoint_id, raw),
           grant(key, doc, web.endpoint_id, b"{}"), grant(key, doc, web.endpoint_id, raw, -5),
           grant(key, doc, str(uuid.uuid4()), raw)]
    for header in bad:
        queues.send(raw, headers={"sallyport-grant": header} if header else None)
        text = queues.notice()["global_state"]["error"]
        assert text.startswith("Ignoring command from server\n  This endpoint accepts signed start "
                               "commands only: the "), text
    # A copied one is refused without a word.
    queues.send(raw, headers={"sallyport-grant": good})
    monitor.logged("Its start grant has been used before")
    monitor.none(START)
    empty(queues)


def test_a_bad_grant_key_is_a_configuration_error(listen):
    m = listen(config="sallyport: {grant_key: short}\n").next(FATAL, 20)
    assert m.code == 1 and "sallyport.grant_key: a grant key is 32 bytes in base64" in m.text_admin
