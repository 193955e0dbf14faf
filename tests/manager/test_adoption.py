"""User endpoints outlive their manager; the next one knows them."""

import os
import signal
import subprocess

import monitor_harness
import monitor_table as table
from monitor_harness import MAPPED, is_alive, needs_root, wait_ready, wait_until

pytestmark = needs_root


def crash(manager):
    manager.process.kill()
    manager.process.wait()
    manager.control.setblocking(False)
    manager.control.settimeout(15)


def test_crash_and_adoption(manager, ada, bob):
    c = manager.begin()
    first = c.started(ada.name, "uep.1", key="key of ada", token=b"old", command="gce uep.1").pid
    second = c.started(bob.name, "uep.1", request=2).pid
    for pid in (first, second):
        wait_ready(pid)
    assert (manager.dir / "children.state").stat().st_mode & 0o777 == 0o600
    crash(manager)
    os.kill(second, signal.SIGTERM)  # while nobody looks
    wait_until(lambda: not is_alive(second))
    assert is_alive(first)
    c = manager.begin()
    manager.wait_log(f"Adopted user endpoint of a former manager (pid: {first})")
    assert f"(pid: {second}) [({bob.name}, uep.1)" not in manager.log().split("Adopted")[-1]
    # The request that was perhaps not answered comes again.
    c.start(ada.name, "uep.1")
    answer = c.expect(table.RUNNING, table.STARTED, table.FAILED)
    assert (answer.type, answer.pid, answer.key) == (table.RUNNING, first, "key of ada")
    c.send(table.start(ada.name, "uep.1", type_=table.REFRESH), [table.sealed(b"new")])
    assert c.expect(table.REFRESHED).code == 0
    assert open(f"/proc/{first}/fd/3", "rb").read() == b"new"
    # Its end is seen, its exit code can't be.
    os.kill(first, signal.SIGTERM)
    gone = c.expect(table.EXITED)
    assert (gone.pid, gone.code) == (first, -1)
    manager.wait_log(f"Command unknown return code: ({first}) [({ada.name}, uep.1) gce uep.1]")
    c.started(ada.name, "uep.1", request=5)


def test_a_crash_while_it_starts(manager, ada):
    c = manager.begin()
    c.start(ada.name, "uep.1", blob=manager.blob("p", act="hang"))
    pid = int(manager.probe("p")["pid"])
    crash(manager)
    c = manager.begin()
    c.start(ada.name, "uep.1")
    answer = c.expect(table.RUNNING, table.STARTED, table.FAILED)
    assert (answer.type, answer.pid) == (table.RUNNING, pid)


def test_stop_takes_adopted_ones_along(manager, ada):
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    wait_ready(pid)
    crash(manager)
    c = manager.begin()
    manager.process.send_signal(signal.SIGTERM)
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(15) == 0
    assert not is_alive(pid)
    assert not (manager.dir / "children.state").exists()


def test_keep_children(manager, ada):
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    manager.process.send_signal(signal.SIGUSR1)
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(15) == 0
    assert is_alive(pid) and not (manager.dir / "daemon.pid").exists()
    c = manager.begin()
    c.start(ada.name, "uep.1")
    assert c.expect(table.RUNNING, table.STARTED, table.FAILED).pid == pid


def test_a_number_that_is_somebody_elses(manager, ada, bob):
    """The state file names a process of another start time, or of another user."""
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    crash(manager)
    path = manager.dir / "children.state"
    lines = path.read_text().splitlines()
    fields = lines[-1].split("\t")
    assert fields[:2] == ["+", str(pid)]
    other_time, other_uid = list(fields), list(fields)
    other_time[2] = str(int(fields[2]) + 1)
    other_uid[3] = str(bob.uid)
    for bad in (other_time, other_uid, fields[:-2], ["+", "x"] + fields[2:], ["nonsense"]):
        path.write_text(lines[0] + "\n" + "\t".join(bad) + "\n")
        c = manager.begin()
        assert "Adopted" not in manager.log()
        crash(manager)
        assert is_alive(pid)
    path.write_text("boot\tanother\n" + lines[-1] + "\n")
    c = manager.begin()
    assert "Adopted" not in manager.log()
    os.kill(pid, signal.SIGKILL)


def test_another_file_in_the_place_of_the_credentials(manager, ada, top):
    """The user endpoint has replaced its descriptor 3 by a file of root: it is not written to."""
    precious = top / "precious"
    precious.write_text("precious")
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    wait_ready(pid)
    crash(manager)
    path = manager.dir / "children.state"
    lines = path.read_text().splitlines()
    fields = lines[-1].split("\t")
    stand_in = subprocess.Popen(
        ["sh", "-c", f"exec 3<{precious}; exec sleep 1000"], user=ada.uid, group=ada.gid,
        extra_groups=[], start_new_session=True,
    )
    try:
        wait_until(lambda: open(f"/proc/{stand_in.pid}/comm").read() == "sleep\n")
        with open(f"/proc/{stand_in.pid}/stat") as f:
            fields[2] = f.read().rsplit(")", 1)[1].split()[19]
        fields[1] = str(stand_in.pid)
        path.write_text(lines[0] + "\n" + "\t".join(fields) + "\n")
        c = manager.begin()
        manager.wait_log(f"Adopted user endpoint of a former manager (pid: {stand_in.pid})")
        c.send(table.start(ada.name, "uep.1", type_=table.REFRESH), [table.sealed(b"overwritten")])
        assert c.expect(table.REFRESHED).code == 0
        manager.wait_log("can't be renewed")
        assert precious.read_text() == "precious"
    finally:
        stand_in.kill()
        stand_in.wait()
        os.kill(pid, signal.SIGKILL)


def test_kill_at_any_moment(manager, ada):
    """The monitor is killed while starts are under way; the next one knows whoever lives."""
    for round_ in range(6):
        c = manager.begin()
        for i in range(20):
            c.start(ada.name, f"uep.{round_}.{i}", request=i)
        answer = None
        for _ in range(round_ * 3):
            answer = c.expect(table.STARTED, table.RUNNING, table.FAILED)
        crash(manager)
        assert answer is None or answer.type == table.STARTED
    c = manager.begin()
    known = set()
    for line in manager.log().splitlines():
        if "Adopted" in line:
            known.add(int(line.split("(pid: ")[1].split(")")[0]))

    def strangers():
        own = set()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.stat(f"/proc/{pid}").st_uid == ada.uid:
                    own.add(int(pid))
            except FileNotFoundError:
                pass
        return own - known

    wait_until(lambda: not strangers())
    manager.process.send_signal(signal.SIGTERM)
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(20) == 0
    assert not any(is_alive(pid) for pid in known)


def test_survival_of_the_pid_file(make_manager, ada):
    """A crash leaves daemon.pid behind; on the same host the next manager knows at once."""
    manager = make_manager(MAPPED)
    manager.begin()
    crash(manager)
    assert (manager.dir / "daemon.pid").exists()
    manager.begin()
    assert "Previous endpoint instance failed to shutdown cleanly." in manager.log()


def test_restart_that_keeps_children(manager, ada):
    """The command's part of it; its start fails here, because nobody is signed in."""
    if monitor_harness.INSTALLED:
        gce = f"{monitor_harness.INSTALLED}/bin/globus-compute-endpoint"
    else:
        gce = monitor_harness.BUILD / "src/cli/gce/globus-compute-endpoint"
    c = manager.begin()
    pid = c.started(ada.name, "uep.1").pid
    c.sock.settimeout(30)
    command = [gce, "-c", manager.dir.parent, "restart", manager.dir.name, "--keep-children"]
    restart = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    c.expect(table.STOP)
    c.sock.close()
    assert manager.process.wait(15) == 0
    assert "is now stopped" in restart.communicate(timeout=30)[1]
    assert is_alive(pid) and (manager.dir / "children.state").exists()
    manager.begin()
    manager.wait_log(f"Adopted user endpoint of a former manager (pid: {pid})")


def test_full_disk_under_its_folder(small_disk, tree, ada):
    """Log and state can't be written; starts go on, and what was missed is written when it can be."""
    manager = monitor_harness.Manager(small_disk, tree, MAPPED)
    try:
        c = manager.begin()
        first = c.started(ada.name, "uep.1").pid
        filler = small_disk / "filler"
        monitor_harness.fill(filler)
        second = c.started(ada.name, "uep.2", request=2).pid
        for number in range(3, 40):  # the room of the page that was begun, too
            os.kill(c.started(ada.name, "uep.x", request=number).pid, signal.SIGKILL)
            assert c.expect(table.EXITED).name == "uep.x"
        assert manager.process.poll() is None
        filler.unlink()
        third = c.started(ada.name, "uep.3", request=40).pid
        crash(manager)
        c = manager.begin()
        for pid in (first, second, third):
            manager.wait_log(f"Adopted user endpoint of a former manager (pid: {pid})")
    finally:
        manager.close()
