"""Requests in numbers: replays, revivals, fairness, bursts, slow mappings, a broker that restarts."""

import json
import os
import stat
import time
import uuid

import pytest
from cryptography.fernet import Fernet

from doubles import (EXPRESSION, FAILED, REFRESH, REFRESHED, RUNNING, START, STARTED, Monitor, Queues,
                     Service, command, identity)
from support.process import wait_for
from support.rabbit import RabbitNode


def settled(queues, seconds=30):
    wait_for("all acknowledged", lambda: queues.ready("commands") == 0, seconds)


def test_duplicate_is_a_refresh(listen, queues):
    monitor = listen().up()
    doc = command(queues)
    queues.send(doc)
    first = monitor.next(START)
    doc["kwargs"]["amqp_creds"]["task_queue_info"]["queue"] = "another"
    queues.send(doc)
    monitor.next(START)
    m = monitor.next(REFRESH)
    assert (m.user, m.name) == (first.user, first.name)
    fresh = json.loads(Fernet(first.key).decrypt(m.credentials))
    assert fresh["amqp_creds"]["task_queue_info"]["queue"] == "another"
    monitor.logged(f"User endpoint {m.name} is already running (pid: 1001); updating credentials then "
                   "caching arguments in case it's about to shut down")
    settled(queues)


def test_an_old_replay_does_not_bring_old_credentials_back(listen, queues):
    monitor = listen().up()
    now = int(time.time())
    doc = command(queues)
    queues.send(doc, timestamp=now)
    monitor.next(START)
    queues.send(doc, timestamp=now - 60)
    monitor.next(START)
    monitor.logged("older than the one before it: the credentials stay")
    monitor.none(REFRESH)


def test_revival_within_the_grace_period(listen, queues):
    monitor = listen().up()
    doc = command(queues)
    queues.send(doc)
    first = monitor.next(START)
    queues.send(doc)
    monitor.next(REFRESH)
    monitor.exited(first)
    again = monitor.next(START)
    assert again.name == first.name and again.blob["amqp_creds"] == first.blob["amqp_creds"]
    assert again.key != first.key
    monitor.logged("User EP stopped within grace period; using cached arguments to start a new instance "
                   f"(name: {first.name})")
    # Once only, and not after a failure.
    monitor.exited(again)
    monitor.none(START)


def test_no_revival(listen, queues):
    monitor = listen(config="mu_child_ep_grace_period_s: 1\n").up()
    doc = command(queues)
    queues.send(doc)
    first = monitor.next(START)
    queues.send(doc)
    monitor.next(REFRESH)
    time.sleep(1.2)
    monitor.exited(first)  # too late
    monitor.none(START)
    queues.send(doc)
    again = monitor.next(START)
    queues.send(doc)
    monitor.next(REFRESH)
    monitor.exited(again, status=1 << 8)  # it failed
    monitor.none(START)


def test_it_ends_between_the_question_and_the_refresh(listen, queues):
    monitor = listen().up()
    doc = command(queues)

    def vanishing(m):
        if m.type == REFRESH:
            return REFRESHED, {"code": 1}
        if len(monitor.all) <= 2:  # REGISTERED and this one
            return RUNNING, {"pid": 5, "user": m.user, "name": m.name, "key": m.key}
        return STARTED, {"pid": 6}

    monitor.policy = vanishing
    queues.send(doc)
    monitor.next(START)
    monitor.next(REFRESH)
    monitor.next(START)
    settled(queues)
    assert queues.ready("notices") == 0


def test_one_at_a_time_for_one_user_endpoint(listen, queues):
    monitor = listen().up()
    waiting = []
    monitor.policy = lambda m: waiting.append(m)  # answers nothing
    doc = command(queues)
    queues.send(doc, doc, doc)
    monitor.next(START)
    monitor.none(START)
    monitor.policy = monitor.start_all
    kind, how = monitor.start_all(waiting[0])
    monitor.send(kind, request=waiting[0].request, **how)
    monitor.next(REFRESH)
    monitor.next(REFRESH)
    settled(queues)


def test_two_users_may_have_endpoints_of_one_name(listen, queues):
    monitor = listen().up()
    queues.send(command(queues, "alice@example.org", name="same"),
                command(queues, "bob@example.org", name="same"))
    users = {monitor.next(START).user, monitor.next(START).user}
    assert users == {"alice", "bob"}
    monitor.none(REFRESH)


def test_unanswered_requests_survive_a_crash(listen, queues):
    monitor = listen().up()
    monitor.policy = lambda m: None
    queues.send(command(queues))
    monitor.next(START)
    monitor.process.kill()
    monitor.process.wait(5)
    monitor.process.returncode = 0
    another = listen().up()
    another.next(START)
    settled(queues)


def test_flood_of_one_user_does_not_starve_others(listen, queues):
    monitor = listen().up()
    order = []

    def slow(m):
        order.append(m.user)
        time.sleep(0.005)
        return monitor.start_all(m)

    monitor.policy = slow
    flood = [command(queues, "mallory@example.org", amqp_creds=queues.creds(str(uuid.uuid4())))]
    for i in range(3000):
        doc = json.loads(json.dumps(flood[0]))
        doc["kwargs"]["name"] = f"flood-{i}"
        flood.append(doc)
    others = [command(queues, f"user{i}@example.org") for i in range(10)]
    queues.send(*flood, *others)
    wait_for("others are served", lambda: len({u for u in order if u.startswith("user")}) == 10, 30)
    assert order.count("mallory") < 600, "the others had to wait for the flood"
    monitor.logged("Too many start requests are waiting for this identity")
    settled(queues, 60)


def test_burst_of_200_users(listen, queues):
    monitor = listen(config="heartbeat_period: 5\n").up()
    docs = [command(queues, f"user{i}@example.org") for i in range(200)]
    queues.send(*docs)
    for _ in docs:
        monitor.next(START)
    assert len({m.user for m in monitor.all if m.type == START}) == 200
    settled(queues)


def script(path, text):
    path.write_text("#!/usr/bin/python3\nimport json, sys, time\ndoc = json.load(sys.stdin)\n" + text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def program(folder):
    """A mapping program that user `slow` makes wait; the listener's account can run it."""
    return script(folder / "map.py", """
name = doc["identities"][0]["username"].split("@")[0]
if name == "slow":
    time.sleep(4)
if name == "hung":
    time.sleep(60)
print(json.dumps({"DATA_TYPE": "identity_mapping_output#1.0.0",
                  "result": [{"id": doc["identities"][0]["id"], "output": "ext_" + name}]}))
""")


def external(program):
    return [{"DATA_TYPE": "external_identity_mapping#1.0.0", "command": [program]}]


def test_slow_program_delays_nobody_else(listen, queues, program):
    monitor = listen(mapping=external(program)).up()
    queues.send(command(queues, "slow@example.org"), command(queues, "hung@example.org"))
    time.sleep(0.3)
    queues.send(*[command(queues, f"user{i}@example.org") for i in range(20)])
    for _ in range(20):
        m = monitor.next(START, 30)
        assert m.user.startswith("ext_user")
        assert m.blob["ep_info"]["globus_matched_identity"] == m.blob["globus_id"]
    assert monitor.next(START).user == "ext_slow"
    text = queues.notice()["global_state"]["error"]
    assert text.startswith("Identity failed to map to a local user name.")
    monitor.logged("Identity mapper 1 [of 1] (ExternalIdentityMapping) failed -- (TimeoutExpired)")


def test_mapping_reload(listen, queues, program):
    monitor = listen().up()
    rules = json.loads(json.dumps(EXPRESSION))
    rules[0]["mappings"][0]["output"] = "new_{0}"
    monitor.change_mapping(json.dumps(rules))
    queues.send(command(queues))
    assert monitor.next(START).user == "new_alice"
    # Broken: the old rules stay.
    monitor.change_mapping("[{,}]")
    monitor.logged("Unable to update identity configuration -- (")
    monitor.logged(f"  Identity configuration path: {monitor.folder}/idmap.json")
    queues.send(command(queues))
    assert monitor.next(START).user == "new_alice"
    # Gone.
    monitor.change_mapping(None)
    monitor.logged("Unable to update identity configuration -- (FileNotFoundError)")
    queues.send(command(queues))
    assert monitor.next(START).user == "new_alice"
    # Back, with a program.
    monitor.change_mapping(json.dumps(external(program)))
    queues.send(command(queues))
    assert monitor.next(START).user == "ext_alice"


def test_a_taken_over_listener_cannot_choose_the_program(listen, queues, program, folder):
    """The helper takes rules of the same owner only; here the file has become somebody else's."""
    monitor = listen(mapping=external(program)).up()
    queues.send(command(queues))
    assert monitor.next(START).user == "ext_alice"
    other = script(folder / "other.py", "print('nothing')\n")
    new = monitor.folder / "idmap.new"
    new.write_text(json.dumps(external(other)))
    os.chown(new, 65534, 65534)
    new.rename(monitor.folder / "idmap.json")
    assert os.stat(monitor.folder / "idmap.json").st_uid == 65534
    monitor.send_file(3)
    monitor.logged("the mapping file belongs to uid 65534 now, it did to 0")
    queues.send(command(queues))
    assert monitor.next(START).user == "ext_alice"
    assert stat.S_ISREG(os.stat(monitor.folder / "idmap.json").st_mode)


def test_broker_restart(prefix, listen, folder):
    """A node of its own: it is killed and comes back, and the commands in it too."""
    with RabbitNode(folder / "node") as node:
        web = Service(node.url)
        try:
            queues = Queues(web, node.connect)
            ep = folder / "ep"
            ep.mkdir()
            monitor = Monitor(prefix / "libexec" / "sallyport" / "listener", ep, web,
                              config="heartbeat_period: 5\n")
            try:
                monitor.up()
                monitor.policy = lambda m: None
                queues.send(command(queues), delivery_mode=2)
                held = monitor.next(START)
                node.crash()
                monitor.logged("Unable to sustain connection (commands); retrying ...")
                monitor.policy = monitor.start_all
                node.start()
                # The old delivery can't be acknowledged any more; it comes again and is harmless.
                kind, how = monitor.start_all(held)
                monitor.send(kind, request=held.request, **how)
                monitor.logged("Awaiting messages from queue: ", 40, count=2)
                monitor.next(REFRESH, 40)
                settled(queues)
                queues.take("beats")
            finally:
                assert monitor.stop() == 0
        finally:
            web.stop()


def test_requests_of_an_unknown_size_of_identity_set(listen, queues):
    monitor = listen().up()
    many = [identity(f"u{i}@elsewhere.org") for i in range(300)] + [identity("alice@example.org")]
    queues.send(command(queues, globus_identity_set=many))
    assert monitor.next(START).user == "alice"
    queues.send(command(queues, globus_identity_set=None))
    assert queues.notice()["global_state"]["error"].startswith("Identity failed to map")
    monitor.policy = lambda m: (FAILED, {"code": 87, "text": "(FileNotFoundError) x"})
    settled(queues)
