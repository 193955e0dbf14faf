"""The ledger and the payload files when things go wrong below them: nothing is half accepted,
nothing accepted is lost, the sentence is clear, and no restart is needed afterwards."""

import os
import pathlib
import pwd
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import pytest
from service_rig import STANDIN, Service, online, wait_until, why_not
from site_ import Manager

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from support import postgres  # noqa: E402

ARGUMENTS = "12\n00\ngAQpLg==\n12\n00\ngAR9lC4=\n"


def large(letter, size=60_000):
    """Arguments that go into a file: a string for the function, and no keywords."""
    from globus_compute_sdk.serialize import ComputeSerializer
    serde = ComputeSerializer()
    return serde.pack_buffers([serde.serialize((letter * size,)), serde.serialize({})])


def echo():
    from globus_compute_sdk.serialize import ComputeSerializer
    serde = ComputeSerializer()
    return serde.pack_buffers([serde.serialize(_first)])


def _first(text):
    return text[0]


class House:
    """A service whose ledger (or database) and payloads lie where the test wants them."""

    def __init__(self, kind, folder):
        self.kind, self.folder, self.database = kind, folder, None
        data = folder / "data"
        data.mkdir(mode=0o711)
        self.small = folder / "small"
        self.small.mkdir()
        (data / "payloads").symlink_to(self.small / "payloads")
        (data / "service.yaml").write_text("tasks: {file_bytes: 4096}\n")
        self.mounted = False

    def mount(self, size):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.small], capture_output=True)
        if done.returncode:
            pytest.skip("a small file system can't be mounted here")
        self.mounted = True

    def start(self):
        (self.small / "payloads").mkdir()
        if self.kind == "sqlite":
            store = f"sqlite:{self.small}/ledger.db"
        else:
            self.database = postgres.Postgres(self.folder / "db").start()
            store = self.database.database("ledger")
        self.service = Service(self.folder, "--store", store)
        self.manager = Manager(self.service.register().json())
        wait_until(lambda: online(self.service, self.manager.id))
        self.function = self.service.function(code=echo())
        return self

    def fill(self):
        """Until not a byte more goes in."""
        with open(self.small / "filler", "wb", buffering=0) as f:
            with pytest.raises(OSError):
                while True:
                    f.write(b"x" * 4096)

    def files(self):
        return [p for p in (self.small / "payloads").rglob("*") if p.is_file()]

    def submit(self, payload, n=1, **fields):
        return self.service.submit(self.manager.id, self.function, n=n, payload=payload, **fields)

    def finished(self, tasks):
        documents = self.service.post("/v2/batch_status", {"task_ids": tasks}).json()["results"]
        return sum(d["status"] == "success" for d in documents.values())

    def stop(self):
        try:
            if self.manager.is_alive():
                self.manager.leave()
            self.service.stop()
        finally:
            if self.database:
                self.database.stop()
            if self.mounted:
                subprocess.run(["umount", "-l", self.small], check=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request):
    if reason := why_not():
        pytest.skip(reason)
    if request.param == "postgresql" and (reason := postgres.why_not()):
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="sallyport-storage-") as folder:
        os.chmod(folder, 0o755)
        house = House(request.param, pathlib.Path(folder))
        yield house
        if hasattr(house, "manager"):
            house.stop()
        elif house.mounted:
            subprocess.run(["umount", "-l", house.small], check=True)


def test_large_arguments_are_kept_once(house):
    house.start()
    tasks = house.submit(large("a"), n=5).json()["tasks"][house.function]
    tasks += house.submit(large("a")).json()["tasks"][house.function]
    tasks += house.submit(large("b")).json()["tasks"][house.function]
    assert len(house.files()) == 2
    wait_until(lambda: house.finished(tasks) == 7)
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in house.files())


def test_a_full_disk_accepts_nothing_and_loses_nothing(house):
    house.mount("24m")
    house.start()
    accepted = list(house.submit(large("a")).json()["tasks"][house.function])
    house.fill()
    # Some more may fit into what the ledger has in its log file; not for long.
    refused = None
    for i in range(300):
        answer = house.submit(large(chr(ord("b") + i % 20), 100_000 + i))
        if answer.status_code == 200:
            accepted += answer.json()["tasks"][house.function]
            continue
        refused = answer
        break
    assert refused is not None and refused.status_code == 503, refused
    assert refused.json()["code"] == "STORAGE_FULL" and "disk is full" in refused.json()["message"]
    assert refused.headers["Retry-After"]
    # A small one meets the same disk: taken whole, or refused whole.
    known = set(accepted)
    answer = house.submit(ARGUMENTS)
    if answer.status_code == 200:
        known |= set(answer.json()["tasks"][house.function])
    else:
        assert answer.status_code == 503 and answer.json()["code"] == "STORAGE_FULL", answer.text
    os.unlink(house.small / "filler")
    wait_until(lambda: house.submit(large("z")).status_code == 200, 30)
    wait_until(lambda: house.finished(accepted) == len(accepted), 60)
    assert not [p for p in house.files() if ".tmp-" in p.name]


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)  # a database's own disk is not ours to fill
def test_results_wait_for_a_full_disk(house):
    """They stay with the broker until the ledger takes them, and come into it once."""
    house.mount("24m")
    hold = {}
    house.start()
    house.manager.on_start = lambda m, c: hold.update(ep=m.start_endpoint(c, hold=True))
    tasks = house.submit(ARGUMENTS, n=50, create_queue=True).json()["tasks"][house.function]
    wait_until(lambda: "ep" in hold and len(hold["ep"].deliveries) == 50)
    house.fill()
    # What is left in the files of the ledger itself is used up as well.
    for i in range(300):
        if house.submit(large("c", 100_000 + i)).status_code != 200:
            break
    hold["ep"].release()
    time.sleep(3)
    os.unlink(house.small / "filler")
    wait_until(lambda: all(d["status"] in ("success", "failed") for d in house.service.post(
        "/v2/batch_status", {"task_ids": tasks}).json()["results"].values()), 60)


@pytest.mark.parametrize("house", ["postgresql"], indirect=True)
def test_the_database_goes_away_and_comes_back(house):
    house.start()
    accepted = list(house.submit(ARGUMENTS, n=20).json()["tasks"][house.function])
    house.database.stop()
    answer = house.submit(ARGUMENTS)
    assert answer.status_code == 503 and "ledger" in answer.json()["message"], answer.text
    assert house.service.get("/readyz", user=None).status_code == 503
    house.database.start()
    wait_until(lambda: house.submit(ARGUMENTS).status_code == 200, 60)
    wait_until(lambda: all(d["status"] in ("success", "failed") for d in house.service.post(
        "/v2/batch_status", {"task_ids": accepted}).json()["results"].values()), 60)


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_a_locked_ledger_is_waited_for(house):
    house.start()
    other = sqlite3.connect(house.small / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(house.submit(ARGUMENTS)))
    thread.start()
    time.sleep(2)
    assert not answers
    # Who only reads is not held up.
    assert house.service.get(f"/v2/endpoints/{house.manager.id}/status").status_code == 200
    other.execute("ROLLBACK")
    thread.join(30)
    assert answers[0].status_code == 200
    other.close()


@pytest.mark.parametrize("make,words", [
    (lambda p: p.write_bytes(b"no database at all" * 1000), "file is not a database"),
    (lambda p: p.mkdir(), "unable to open"),
])
def test_a_ledger_that_is_none_is_refused_in_words(tmp_path, make, words):
    if not STANDIN:
        pytest.skip("service_standin is not built")
    path = tmp_path / "ledger.db"
    make(path)
    p = subprocess.run([STANDIN, "--data", tmp_path / "d", "--port", "0", "--store", f"sqlite:{path}"],
                       capture_output=True, text=True, timeout=60)
    assert p.returncode == 1 and words in p.stderr and str(path) in p.stderr, p.stderr


def foreign_ledger(folder):
    """Root's ledger in nobody's folder."""
    with sqlite3.connect(folder / "ledger.db") as c:
        c.execute("CREATE TABLE t(a)")
    (folder / "ledger.db").chmod(0o600)


@pytest.mark.parametrize("prepare, option, words", [
    (lambda f: (f / "d").chmod(0o555), None, "d can't be the service's folder"),
    (lambda f: (f / "ledgers").chmod(0o555), "sqlite:{}/ledgers/ledger.db", "has to own the file and its folder"),
    (lambda f: foreign_ledger(f / "ledgers"), "sqlite:{}/ledgers/ledger.db", "has to own the file and its folder"),
    (lambda f: None, "sqlite:{}/none/ledger.db", "its folder does not exist"),
])
def test_places_that_can_not_be_written_are_refused_in_words(prepare, option, words):
    if not STANDIN or os.geteuid() != 0:
        pytest.skip("service_standin is not built, or this is not root, who can be somebody else")
    with tempfile.TemporaryDirectory(prefix="sallyport-storage-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        nobody = pwd.getpwnam("nobody")
        for part in ("d", "ledgers"):
            (folder / part).mkdir()
            os.chown(folder / part, nobody.pw_uid, nobody.pw_gid)
        prepare(folder)
        p = subprocess.run([STANDIN, "--data", folder / "d", "--port", "0",
                            *(["--store", option.format(folder)] if option else [])],
                           user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[],
                           capture_output=True, text=True, timeout=60)
        assert p.returncode == 1 and words in p.stderr and name in p.stderr, p.stderr
        assert len(p.stderr.splitlines()) == 1 and p.stderr.startswith("Error: "), p.stderr


def test_a_ledger_that_stays_locked_is_refused_in_words(tmp_path):
    if not STANDIN:
        pytest.skip("service_standin is not built")
    path = tmp_path / "ledger.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("BEGIN IMMEDIATE")
    p = subprocess.run([STANDIN, "--data", tmp_path / "d", "--port", "0", "--store", f"sqlite:{path}"],
                       capture_output=True, text=True, timeout=120)
    other.close()
    assert p.returncode == 1 and f"{path}: the ledger is locked by another program" in p.stderr, p.stderr
