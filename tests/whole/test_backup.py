"""sallyport backup beside a running service, restore into another folder, and what both refuse."""

import hashlib
import json
import os
import shutil
import subprocess

import pytest

from support.sdk import run_script
from support.stack import Service

REGISTER = """
    from globus_compute_sdk import Client

    def answer():
        return 42

    print(Client().register_function(answer, description="kept"))
"""
READ = """
    import sys
    from globus_compute_sdk import Client

    print(Client().get_function(sys.argv[1])["description"])
"""


@pytest.fixture
def run(prefix):
    def run(*words, code=0):
        done = subprocess.run([prefix / "bin" / "sallyport", *words], capture_output=True, text=True, timeout=60,
                              env={"PATH": os.environ["PATH"]})
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr
    return run


def payload(folder, content):
    name = hashlib.sha256(content).hexdigest()
    path = folder / "payloads" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def quiet(run, folder):
    """The folder of a service that does not run, and a backup of it."""
    data = folder / "data"
    run("user", "add", "ada@example.org", "--no-password", "--data", data)
    payload(data, b"a result that was too large")
    (data / "broker.key").write_bytes(b"k" * 32)
    run("backup", folder / "backup", "--data", data)
    return data


def test_service_goes_on_elsewhere(prefix, folder, run, service):
    client = service.client(f"keeper {folder.name}")
    (folder / "sdk").mkdir()
    function = run_script(REGISTER, service.environment(folder / "sdk", client)).check().out.strip()
    data = service.folder / "data"
    run("backup", folder / "backup", "--data", data)
    assert (folder / "backup").stat().st_mode & 0o777 == 0o700
    (folder / "other").mkdir()
    (folder / "other").chmod(0o711)
    run("restore", folder / "backup", "--data", folder / "other" / "data")
    with Service(prefix, folder / "other") as other:
        (folder / "sdk2").mkdir()
        ran = run_script(READ, other.environment(folder / "sdk2", client), function).check()
        assert ran.out.strip() == "kept"


def test_all_of_it(quiet, folder, run):
    said = run("restore", folder / "backup", "--data", folder / "new")
    assert "with 1 payloads" in said
    for name in ("broker.key", "service.yaml"):
        if (quiet / name).exists():
            assert (folder / "new" / name).read_bytes() == (quiet / name).read_bytes()
    copied = [p for p in (folder / "new" / "payloads").rglob("*") if p.is_file()]
    assert [p.read_bytes() for p in copied] == [b"a result that was too large"]
    users = json.loads(run("user", "list", "--json", "--data", folder / "new"))
    assert [u["username"] for u in users] == ["ada@example.org"]
    assert not list((folder / "backup").glob("*.pid")) and not list((folder / "backup").glob("*-wal"))


@pytest.mark.parametrize("harm, sentence", [
    (lambda b: (b / "backup.json").unlink(), "is no whole backup"),
    (lambda b: (b / "ledger.db").write_bytes(b"x" + (b / "ledger.db").read_bytes()[1:]), "ledger.db is damaged"),
    (lambda b: (b / "broker.key").write_bytes(b"K" * 32), "broker.key is damaged"),
    (lambda b: (b / "broker.key").unlink(), "broker.key can't be read"),
    (lambda b: shutil.rmtree(b / "payloads"), "has 0 payloads; it had 1"),
    (lambda b: next(p for p in (b / "payloads").rglob("*") if p.is_file()).write_bytes(b"?"), "is damaged"),
    (lambda b: (b / "backup.json").write_text('{"format": 99, "files": {}}'), "has format 99"),
    (lambda b: (b / "backup.json").write_text('{"format": 1, "files": {"ledger.db": "", "../x": ""}}'),
     "is damaged"),
    (lambda b: (b / "backup.json").write_text('{"format": 1, "files": {"../x": "", "ledger.db": ""}}'),
     "no file of a backup"),
], ids=["no list", "ledger", "key", "no key", "no payloads", "payload", "format", "hash", "path"])
def test_damaged(quiet, folder, run, harm, sentence):
    harm(folder / "backup")
    assert sentence in run("restore", folder / "backup", "--data", folder / "new", code=1)
    assert not (folder / "new").exists()


def test_nothing_is_replaced(quiet, folder, run):
    before = {p: p.read_bytes() for p in quiet.rglob("*") if p.is_file()}
    assert "is not an empty folder" in run("restore", folder / "backup", "--data", quiet, code=1)
    assert "is there already" in run("backup", folder / "backup", "--data", quiet, code=1)
    assert {p: p.read_bytes() for p in quiet.rglob("*") if p.is_file()} == before
    (folder / "link").symlink_to(folder / "elsewhere")
    assert "is not an empty folder" in run("restore", folder / "backup", "--data", folder / "link", code=1)


def test_what_is_no_ledger(folder, run):
    data = folder / "data"
    assert "can't be read" in run("backup", folder / "b", "--data", data, code=1)
    data.mkdir()
    assert "can't be opened" in run("backup", folder / "b", "--data", data, code=1)
    (data / "ledger.db").write_bytes(b"no database " * 1000)
    assert "can't be copied" in run("backup", folder / "b", "--data", data, code=1)
    (data / "service.yaml").write_text("store: postgresql://u@h/d\n")
    assert "pg_dump" in run("backup", folder / "b", "--data", data, code=1)
    assert not (folder / "b").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files change their owner")
def test_owner(quiet, folder, run, accounts):
    account = accounts.get("keeper")
    shutil.rmtree(folder / "backup")
    for path in (quiet, *quiet.rglob("*")):
        os.chown(path, account.uid, account.gid)
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    assert "can't be reached by the account" in run("backup", closed / "b", "--data", quiet, code=1)
    run("backup", folder / "backup", "--data", quiet)
    run("restore", folder / "backup", "--data", folder / "new", "--user", account.name)
    for where in (folder / "backup", folder / "new"):
        assert {p.stat().st_uid for p in (where, *where.rglob("*"))} == {account.uid}
    assert "there is no account" in run("restore", folder / "backup", "--data", folder / "x", "--user", "no-such-one",
                                        code=1)
