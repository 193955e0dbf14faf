"""map-identity: all cases of the specification, and what it explains."""

import json
import os
import pathlib
import subprocess

import pytest

CASES = json.loads((pathlib.Path(__file__).parent.parent / "data" / "identity-mapping-cases.json")
                   .read_text())


def run(prefix, *argv, stdin=None):
    return subprocess.run([prefix / "bin" / "globus-compute-endpoint", "map-identity", *argv],
                          capture_output=True, text=True, timeout=60, input=stdin,
                          stdin=None if stdin is not None else subprocess.DEVNULL,
                          env={**os.environ, "HOME": "/tmp"})


def prepare(case, folder):
    """Case file's scripts and placeholders made real."""
    for name, text in (case.get("files") or case.get("scripts") or {}).items():
        path = folder / name
        path.write_text(text)
        path.chmod(0o755)
    mapping = case["mapping_text"] if "mapping_text" in case else json.dumps(case["mapping"])
    (folder / "map.json").write_text(mapping.replace("@DIR@", str(folder)))
    (folder / "ids.json").write_text(json.dumps(case["identities"]))


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda c: c["id"])
def test_case(prefix, folder, case):
    if "security" in case.get("tags", []):
        pytest.skip("the original's result is unsafe here; lib/idmap has its own test")
    folder.chmod(0o755)
    prepare(case, folder)
    done = run(prefix, "--config", folder / "map.json", "--endpoint-id", CASES["endpoint_id"],
               "--identities", folder / "ids.json", "--json")
    answer = json.loads(done.stdout)
    expect = case["expect"]
    if expect["load"] != "ok":
        assert done.returncode == 1 and "error" in answer, done
        return
    assert answer["username"] == expect["username"], answer
    assert answer["matched_identity"] == expect["matched_identity"]
    assert answer["candidates"] == expect["candidates"]
    assert done.returncode == (0 if expect["username"] else 1)
    assert answer["explanation"]["decision"]


RULES = [{"DATA_TYPE": "expression_identity_mapping#1.0.0",
          "mappings": [{"source": "{username}", "match": "(.*)@example\\.org", "output": "{0}"}]}]


def ids(*names):
    return json.dumps([{"id": f"00000000-0000-4000-8000-{i:012}", "username": n, "status": "used"}
                       for i, n in enumerate(names)])


def test_text_and_account(prefix, folder):
    (folder / "map.json").write_text(json.dumps(RULES))
    done = run(prefix, "--config", folder / "map.json", "--identities", "-", stdin=ids("x@y", "root@example.org"))
    assert done.returncode == 0
    assert 'root@example.org: matches, name "root"' in done.stdout
    assert "x@y: no: " in done.stdout
    assert "Account root: refused: " in done.stdout
    done = run(prefix, "--config", folder / "map.json", "--identities", "-", stdin=ids("x@y"))
    assert done.returncode == 1 and "Decision: no rule matches" in done.stdout
    done = run(prefix, "--config", folder / "map.json", "--identities", "-",
               stdin=ids("no-such-user@example.org"))
    assert "Account no-such-user: refused: getpwnam(): name not found" in done.stdout


def test_check(prefix, folder):
    (folder / "map.json").write_text(json.dumps(RULES))
    done = run(prefix, "--config", folder / "map.json", "--identities", "-", "--check",
               stdin=json.dumps({"identities": json.loads(ids("a@example.org"))}))
    head, text = done.stdout.split(": ", 1)
    assert head == "\nAll mapped identities"
    assert json.loads(text) == [[{"00000000-0000-4000-8000-000000000000": ["a"]}]]
    done = run(prefix, "--config", folder / "map.json", "--identities", "-", "--check", "--first",
               stdin=ids("a@b"))
    assert done.stdout == "\nFirst found mapped identity: None\n" and done.returncode == 0
    (folder / "map.json").write_text("[{,}]")
    done = run(prefix, "--config", folder / "map.json", "--identities", "-", "--check", stdin="[]")
    assert done.returncode == 1 and done.stderr.startswith("Error: ")


def test_of_a_configured_endpoint(prefix, folder):
    home = folder / "base" / "site"
    home.mkdir(parents=True)
    (home / "map.json").write_text(json.dumps(RULES))
    (home / "config.yaml").write_text("email: a@b\nidentity_mapping_config_path: map.json\n"
                                      "sallyport:\n  minimum_uid: 0\n  allow_nologin_shells: true\n"
                                      "  deny_users: [games]\n")
    command = [prefix / "bin" / "globus-compute-endpoint", "-c", folder / "base", "map-identity", "-e",
               "site", "--identities", "-", "--json"]
    done = subprocess.run(command, input=ids("daemon@example.org"), capture_output=True, text=True)
    account = json.loads(done.stdout)["account"]
    assert account["accepted"] is (os.geteuid() == 0 or account["admin_text"] is None), account
    done = subprocess.run(command, input=ids("games@example.org"), capture_output=True, text=True)
    assert "deny_users" in json.loads(done.stdout)["account"]["admin_text"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: programs run as the listener's account")
def test_programs_run_as_the_listener(prefix, folder):
    program = folder / "who.py"
    program.write_text("#!/usr/bin/python3\nimport json, os, sys\ndoc = json.load(sys.stdin)\n"
                       "print(json.dumps({'result': [{'id': doc['identities'][0]['id'],"
                       " 'output': 'uid%d' % os.getuid()}]}))\n")
    program.chmod(0o755)
    (folder / "map.json").write_text(json.dumps(
        [{"DATA_TYPE": "external_identity_mapping#1.0.0", "command": [str(program)]}]))
    done = run(prefix, "--config", folder / "map.json", "--identities", "-", "--json", stdin=ids("a@b"))
    assert json.loads(done.stdout)["username"] == "uid65534"


@pytest.mark.parametrize("argv", [["--identities", "-"], ["--config", "/etc/passwd"]])
def test_usage(prefix, argv):
    done = run(prefix, *argv)
    assert done.returncode == 2 and "Error: " in done.stderr
