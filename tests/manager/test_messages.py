"""A listener that was taken over says everything that it must not: no effect but its own end."""

import os
import random
import signal
import threading

import monitor_table as table
import pytest
from monitor_harness import is_alive, needs_root, wait_until

pytestmark = needs_root

START = table.start("root", "uep.x")


def with_fds(packet, n):
    return packet, [table.sealed(b"x") for _ in range(n)]


MALFORMED = {
    "short": (b"abc", 0),
    "one byte": (b"\x02", 0),
    "type of the other side": (table.head(table.HELLO), 0),
    "its own answer": (table.head(table.STARTED), 0),
    "unknown type": (table.head(77), 0),
    "largest type": (table.head(0xFFFFFFFF), 0),
    "start without its part": (table.head(table.START), 2),
    "start, one byte less": (START[:-1], 2),
    "start, one byte more": (START + b"\0", 2),
    "start without descriptors": (START, 0),
    "start with one": (START, 1),
    "start with three": (START, 3),
    "start with four": (START, 4),
    "refresh with two": (table.start("root", "x", type_=table.REFRESH), 2),
    "refresh with none": (table.start("root", "x", type_=table.REFRESH), 0),
    "user without an end": (table.start("u" * 64, "uep.x"), 2),
    "name without an end": (table.start("root", "n" * 256), 2),
    "key without an end": (table.start("root", "x", key="k" * 48), 2),
    "command without an end": (table.start("root", "x", command="c" * 1024), 2),
    "correlation without an end": (table.start("root", "x", correlation="c" * 64), 2),
    "registered again": (table.registered("11111111-2222-3333-4444-555555555555"), 0),
    "registered with nonsense": (table.registered("x" * 36), 0),
    "larger than any": (b"\x02\0\0\0" + b"x" * 8000, 0),
    "fatal with a descriptor": (table.fatal(1, "x"), 1),
    "fatal without an end": (table.head(table.FATAL) + b"x" * 4096, 0),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(manager, ada, name):
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    packet, n = MALFORMED[name]
    c.send(*with_fds(packet, n))
    assert c.is_ended()
    wait_until(lambda: not is_alive(c.pid))
    # A new listener; the user endpoint has noticed nothing and is known.
    c = manager.register()
    assert is_alive(pid)
    c.start(ada.name, "uep.1", request=2)
    answer = c.expect(table.RUNNING, table.STARTED, table.FAILED)
    assert (answer.type, answer.pid) == (table.RUNNING, pid), (answer, manager.said()[-1500:])
    assert only_children(manager, [c.pid, pid])


def only_children(manager, pids):
    path = f"/proc/{manager.process.pid}/task/{manager.process.pid}/children"
    return sorted(map(int, open(path).read().split())) == sorted(pids)


def test_before_it_has_registered(manager):
    manager.spawn()
    c = manager.accept()
    c.expect(table.HELLO)
    c.send(*with_fds(table.start("root", "uep.x"), 2))
    assert c.is_ended()
    assert not (manager.dir / "daemon.pid").exists()


HOSTILE_NAMES = ["", "-x", ".x", "..", "../x", "a/b", "a b", "a\nb", "a\x1bb", "ä", "$(id)", "x;y"]


def test_hostile_names(manager, ada):
    c = manager.begin()
    for number, name in enumerate(HOSTILE_NAMES):
        answer = c.failed(ada.name, name, request=number)
        assert answer.code == table.BAD_NAME and answer.request == number
    for number, user in enumerate(["", "-x", "a:b", "a\nb", "a/b", "a b", "\x1b[m"]):
        answer = c.failed(user, "uep.1", request=100 + number)
        assert answer.code == table.NO_ACCOUNT
    assert "\x1b" not in manager.log()
    c.started(ada.name, "n" * 255, request=999)
    assert not (manager.dir / "children.state").read_text().count("\t..")


def test_descriptors_that_are_no_sealed_memory_files(manager, ada, top):
    c = manager.begin()
    path = top / "file"
    path.write_bytes(b"x")
    reading, writing = os.pipe()
    open_memfd = os.memfd_create("open", os.MFD_ALLOW_SEALING)
    os.write(open_memfd, b"x")
    bad = [os.open(path, os.O_RDWR), reading, writing, open_memfd, os.open("/", os.O_RDONLY)]
    bad += [os.open("/dev/zero", os.O_RDONLY), table.sealed(b"x" * (256 * 1024 + 1))]
    for number, fd in enumerate(bad):
        c.send(table.start(ada.name, "uep.1", request=number), [fd, table.sealed(b"x")])
        answer = c.expect(table.FAILED, table.STARTED)
        assert (answer.type, answer.code) == (table.FAILED, table.BAD_GRANT), number
    for number, fd in enumerate(bad[:-1]):
        c.send(table.start(ada.name, "uep.1", request=number), [table.sealed(b"x"), fd])
        answer = c.expect(table.FAILED, table.STARTED)
        assert (answer.type, answer.code) == (table.FAILED, table.BAD_GRANT), number
    pid = c.started(ada.name, "uep.1", request=50, token=b"good").pid
    for number, fd in enumerate(bad):
        c.send(table.start(ada.name, "uep.1", request=number, type_=table.REFRESH), [fd])
        assert c.expect(table.REFRESHED).code == 1
    assert open(f"/proc/{pid}/fd/3", "rb").read() == b"good"
    for fd in bad:
        os.close(fd)


def test_random_packets(manager, ada):
    """Seeded: the same ones each time."""
    rng = random.Random(4)
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    for _ in range(4):
        for _ in range(30):
            base = bytearray(rng.choice([START, table.head(3), table.fatal(0, "x"), b"q" * 30]))
            base[0] = rng.choice([0, 2, 3, 5, 99, 255])
            for _ in range(rng.randrange(4)):
                base[rng.randrange(len(base))] = rng.randrange(256)
            try:
                c.send(*with_fds(bytes(base), rng.randrange(4)))
            except (ConnectionError, BrokenPipeError):
                break
        c.is_ended()
        wait_until(lambda: not is_alive(c.pid))
        c = manager.register()
    assert is_alive(pid) and manager.process.poll() is None


def test_log_lines_of_the_listener(manager):
    c = manager.begin("--log-to-console")
    c.sock.send(b"log <4>a warning\n  and more\n2026-11-24 INFO forged\n<6>an \x1b[31minfo\x07\n")
    manager.wait_log("an ?[31minfo?")
    log = manager.log().splitlines()
    first = next(i for i, line in enumerate(log) if line.endswith(" a warning"))
    assert " WARNING " in log[first] and log[first + 1] == "  and more"
    assert log[first + 2].endswith(" 2026-11-24 INFO forged") and " WARNING Main" in log[first + 2]
    assert "> an ?[31minfo?\n" in manager.said()
    c.sock.send(b"log <6>amqps://user:password@host/ is masked\n")
    manager.wait_log("amqps://***:***@host/ is masked")


def test_the_listener_has_no_rights(manager):
    c = manager.begin()
    status = dict(line.split(":\t", 1) for line in c.self["status"].splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["65534"] * 4 and status["Gid"].split() == ["65534"] * 4
    assert status["Groups"].strip() == "" and status["NoNewPrivs"].strip() == "1"
    only_chroot = 1 << 18
    for name in ("CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) in (0, only_chroot), name
    # http_proxy is passed on, what is not on the list isn't.
    assert c.self["env"].get("http_proxy") == "http://proxy:1"
    assert "SECRET" not in c.self["env"] and "PATH" not in c.self["env"]
    assert c.self["cwd"] == "/"
    # 0..3, the double's own socket and the folder that it looks into.
    assert set(map(int, c.self["fds"])) <= {0, 1, 2, 3, 4, 5}


def test_a_listener_that_dies_is_started_again(manager, ada):
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    os.kill(c.pid, signal.SIGKILL)
    c = manager.register()
    assert c.hello.uuid == manager.id
    assert is_alive(pid)
    # What ends meanwhile and after is told.
    os.kill(pid, signal.SIGKILL)
    assert c.expect(table.EXITED).pid == pid


def test_giving_up_when_it_never_registers(manager):
    manager.spawn()
    for _ in range(3):
        c = manager.accept()
        c.sock.send(b"exit 1")
    assert manager.process.wait(20) == 70
    assert "listener ends before the endpoint is registered" in manager.said()
    assert not (manager.dir / "daemon.pid").exists()


def test_the_listener_dies_with_the_monitor(manager):
    c = manager.begin()
    manager.process.kill()
    manager.process.wait()
    wait_until(lambda: not is_alive(c.pid))


def test_fatal(manager):
    manager.spawn()
    c = manager.accept()
    c.expect(table.HELLO)
    c.send(table.fatal(69, "Endpoint registration blocked.  [locked\x1b[m]", "the detail"))
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(20) == 69
    assert "Endpoint registration blocked.  [locked?[m]\n" in manager.said()
    assert not (manager.dir / "endpoint.json").exists()


def test_mismatched_id(manager):
    (manager.dir / "endpoint.json").write_text(
        '{"endpoint_id": "11111111-2222-3333-4444-555555555555"}'
    )
    manager.spawn()
    c = manager.accept()
    assert c.expect(table.HELLO).uuid == "11111111-2222-3333-4444-555555555555"
    c.send(table.registered(manager.id))
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(20) == 70
    assert "mismatched endpoint id" in manager.said() and "Expected:" in manager.said()


def test_many_starts_hold_the_listener_back(manager, ada):
    """300 requests for seven user endpoints: each gets one answer."""
    c = manager.begin()
    answers = []

    def receive():
        for _ in range(300):
            answers.append(c.expect(table.STARTED, table.RUNNING, table.FAILED))

    reader = threading.Thread(target=receive)
    reader.start()
    for i in range(300):
        c.start(ada.name, f"uep.{i % 7}", request=i)
    reader.join(30)
    assert sorted(a.request for a in answers) == list(range(300))
    running = [a for a in answers if a.type != table.FAILED]
    assert len({a.pid for a in running}) == 7
    assert all(a.code == table.LIMIT for a in answers if a.type == table.FAILED)


def successor(manager, c):
    """The listener has died; the next one."""
    c.sock.send(b"exit 1")
    return manager.accept()


def test_what_a_successor_cannot_do_now_is_tried_again(manager, ada):
    """The service or the broker may be restarting: user endpoints go on meanwhile."""
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    for code, text in ((75, "Network failure"), (0, "[invalid credentials; unrecoverable]")):
        c = successor(manager, c)
        c.send(table.fatal(code, "", text))
        manager.wait_log(f"{text}\n  The endpoint worked before")
    c.sock.send(b"exit 1")
    c = manager.register()
    c.start(ada.name, "uep.1", request=2)
    answer = c.expect(table.RUNNING, table.FAILED)
    assert (answer.type, answer.pid) == (table.RUNNING, pid) and is_alive(pid)


def test_a_successor_that_only_says_that_it_ends(manager, ada):
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    c = successor(manager, c)
    for _ in range(2):
        c.send(table.fatal(1, "", "x"))
    assert c.is_ended()
    manager.register()
    assert is_alive(pid)


def test_what_the_service_says_of_the_endpoint_is_final(manager):
    c = successor(manager, manager.begin())
    c.send(table.fatal(69, "Endpoint registration blocked.  [gone]"))
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(25) == 69
