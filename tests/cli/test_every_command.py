"""Every command of both programs, from their own tables, in every situation that is not its day: it ends
with a known exit code and one clear sentence, and never with a trace of how it is made."""

import json
import os
import pathlib
import re
import subprocess

import pytest

from support.terminal import on_a_terminal

PREFIX = pathlib.Path(os.environ.get("SALLYPORT_PREFIX") or "/nonexistent")
GCE, OURS = "globus-compute-endpoint", "sallyport"
CODES = {0, 1, 2, 65, 69, 70, 72, 73, 75, 77, 78, 255}
UGLY = re.compile(r"Traceback|[Aa]ssert|core dumped|Segmentation|Sanitizer|\(null\)|%[sdu]\b|0x[0-9a-f]{6}|"
                  r"\berrno\b|\x1b|std::|panicked")
UUID = "5f0c7b1e-5ad4-4e0d-9c55-7a1b64a1d0ff"


def table(program):
    if not (PREFIX / "bin" / program).exists():
        return []
    done = subprocess.run([PREFIX / "bin" / program, "_describe", "json"], capture_output=True, text=True,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/dev/null", "GLOBUS_COMPUTE_USER_DIR": "/tmp"})
    return [(program, command) for command in json.loads(done.stdout) if not command["hidden"]]


COMMANDS = table(GCE) + table(OURS)


def label(value):
    return f"{value[0]} {value[1]['name']}" if isinstance(value, tuple) else None


every = pytest.mark.parametrize("entry", COMMANDS, ids=label)


class Run:
    def __init__(self, folder):
        self.folder = folder
        self.base = folder / "base"
        self.data = folder / "data"
        self.environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(folder), "COLUMNS": "200",
            "GLOBUS_COMPUTE_USER_DIR": str(self.base), "SALLYPORT_DATA": str(self.data),
            # Nobody is there.
            "GLOBUS_SDK_ENVIRONMENT": "local", "GLOBUS_SDK_SERVICE_URL_AUTH": "http://localhost:5000/",
            "http_proxy": "http://127.0.0.1:9", "GLOBUS_SDK_HTTP_TIMEOUT": "2",
            "GLOBUS_COMPUTE_CLIENT_ID": "", "GLOBUS_COMPUTE_CLIENT_SECRET": ""}
        del self.environment["GLOBUS_COMPUTE_CLIENT_ID"], self.environment["GLOBUS_COMPUTE_CLIENT_SECRET"]

    def __call__(self, program, *argv):
        done = subprocess.run([PREFIX / "bin" / program, *argv], capture_output=True, text=True, timeout=60,
                              env=self.environment, stdin=subprocess.DEVNULL, cwd=self.folder)
        text = done.stdout + done.stderr
        assert done.returncode in CODES and not UGLY.search(text), (argv, done)
        return done

    def refused(self, program, *argv, code=2, words=""):
        done = self(program, *argv)
        last = done.stderr.rstrip().splitlines()[-1:] or [""]
        assert done.returncode == code and done.stdout == "", (argv, done)
        assert last[0].startswith("Error: ") and words in last[0], (argv, done)
        assert done.stderr.count("Error: ") == 1, done

    def endpoint(self, name, config=""):
        path = self.base / name
        path.mkdir(parents=True)
        (path / "config.yaml").write_text(config)
        return path


@pytest.fixture
def run(folder, prefix):
    return Run(folder)


def words_of(command):
    return command["name"].split()


def operands(command):
    """How many are wanted, and how many are taken."""
    words = (command["operands"] or "").split()
    many = any(w.endswith("...") for w in words)
    return sum(w[0] != "[" and w != "..." for w in words), 64 if many or command["rest"] else len(words)


def takes_endpoint(command):
    return "NAME_OR_UUID" in (command["operands"] or "")


@every
def test_help(run, entry):
    program, command = entry
    done = run(program, *words_of(command), "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"Usage: {program} {command['name']} ")
    assert re.search(rf"^  \$ {program} {command['name']}\b", done.stdout, re.M)
    assert all(len(line) <= 80 for line in done.stdout.split("Examples:")[0].splitlines()[1:])


@every
def test_unknown_option(run, entry):
    program, command = entry
    if command["rest"]:
        pytest.skip("its options are another program's")
    run.refused(program, *words_of(command), "--nonsense", words="No such option: --nonsense")
    run.refused(program, *words_of(command), "-%", words="No such option: -%")


@every
def test_missing_argument(run, entry):
    program, command = entry
    least, _ = operands(command)
    if least:
        run.refused(program, *words_of(command), words="Missing argument '")
    for option in command["options"]:
        if option["kind"] in ("text", "file", "input", "count"):
            run.refused(program, *words_of(command), option["name"],
                        words=f"Option '{option['name']}' requires an argument.")
        if option["kind"] == "flag":
            run.refused(program, *words_of(command), option["name"] + "=x",
                        words=f"Option '{option['name']}' does not take a value.") if not command["rest"] else None


@every
def test_extra_argument(run, entry):
    program, command = entry
    _, most = operands(command)
    if command["rest"]:
        pytest.skip("takes any")
    run.refused(program, *words_of(command), *["x"] * most, "surplus", words="unexpected extra argument (surplus)")


@every
def test_files_that_are_none(run, entry):
    program, command = entry
    least, _ = operands(command)
    for option in command["options"]:
        if option["kind"] in ("file", "input"):
            for value, words in (("gone", "File 'gone' does not exist."), (".", "File '.' is a directory.")):
                run.refused(program, *words_of(command), *["x"] * least, option["name"], value, words=words)
        if option["kind"] == "count":
            run.refused(program, *words_of(command), option["name"], "many", words="is not a valid integer")


# ---- endpoints that are not there, or not what they should be ----

def more(command):
    """What a command wants besides the endpoint."""
    if command["name"] == "simulate":
        return ["--identities", "/dev/null"]
    return ["--yes"] if command["name"] in ("delete", "migrate-to-template-capable") else []


of_endpoints = pytest.mark.parametrize("entry", [e for e in COMMANDS if takes_endpoint(e[1])], ids=label)


@of_endpoints
@pytest.mark.parametrize("name", ["absent", UUID, "a/b", "..", ".", "../b", "a/../../b", ".hidden", "x" * 300, "a\nb", "$(id)"])
def test_absent_endpoint(run, entry, name):
    program, command = entry
    others = [run.base / "a" / "b", run.folder / "b"]
    for path in others:
        path.mkdir(parents=True)
    done = run(program, command["name"], *more(command), "--", name)
    assert done.returncode == 1 and "Error: " in done.stderr, done
    assert all(path.is_dir() for path in others), "what is no endpoint is left alone"


@of_endpoints
@pytest.mark.parametrize("text", ["", "{", "- 1", "a: &a [*a]", "x" * ((1 << 20) + 1), "multi_user: maybe",
                                  "identity_mapping_config_path: gone", "\x00", "engine: {type: x}"],
                         ids=["empty", "broken", "list", "loop", "huge", "wrong", "gone", "nul", "engine"])
def test_odd_configuration(run, entry, text):
    """Twice: what the first call leaves must not spoil the second."""
    program, command = entry
    run.endpoint("odd", text)
    for _ in range(2):
        if not (run.base / "odd").exists():
            run.endpoint("odd", text)
        done = run(program, command["name"], *more(command), "odd")
        if done.returncode not in (0, 255):
            assert re.search(r"^(Error: |error: |Aborted!|> |Network|It would)", done.stderr + done.stdout, re.M), done


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another account is used")
@of_endpoints
def test_unreadable_configuration(run, entry, accounts):
    program, command = entry
    account = accounts.get("ada")
    run.base = account.home / "base"
    run.environment["GLOBUS_COMPUTE_USER_DIR"] = str(run.base)
    path = run.endpoint(f"closed-{os.urandom(4).hex()}")
    (path / "config.yaml").chmod(0)
    os.chown(run.base, account.uid, account.gid)
    done = subprocess.run(["setpriv", "--reuid", str(account.uid), "--clear-groups", PREFIX / "bin" / program,
                           command["name"], *more(command), path.name], capture_output=True, text=True, timeout=60,
                          env=run.environment, stdin=subprocess.DEVNULL, cwd="/")
    text = done.stdout + done.stderr
    assert done.returncode in CODES and not UGLY.search(text.replace("[Errno 13]", "")), done


@pytest.mark.parametrize("name, words", [
    ("a/b", "no '..' or '/' characters"), ("..", "no '..' or '/' characters"), ("", "Received no endpoint name"),
    ("x" * 129, "must be less than 129 characters"), (".x", "prefixed '.'"), ("a b", "no whitespace")])
def test_configure_refuses_names(run, name, words):
    done = run(GCE, "configure", "--multi-user", "false", name)
    assert done.returncode == 1 and words in done.stderr
    assert not run.base.exists() or not list(run.base.iterdir())


def test_configure_twice(run):
    assert run(GCE, "configure", "--multi-user", "false", "ep").returncode == 0
    done = run(GCE, "configure", "--multi-user", "false", "ep")
    assert done.returncode == 1 and "already exists" in done.stdout


# ---- the service's folder ----

def unserved(command):
    return command["name"] not in ("serve", "broker", "completion", "version", "env", "audit verify")


@pytest.mark.parametrize("entry", [e for e in COMMANDS if e[0] == OURS and unserved(e[1])], ids=label)
@pytest.mark.parametrize("what", ["absent", "a file", "empty settings", "broken settings", "huge settings"])
def test_odd_folder_of_the_service(run, entry, what):
    program, command = entry
    least, _ = operands(command)
    if what == "a file":
        run.data.write_text("")
    elif what != "absent":
        run.data.mkdir()
        (run.data / "service.yaml").write_text({"e": "", "b": "a: [", "h": "#" * ((1 << 20) + 1)}[what[0]])
    for _ in range(2):
        done = run(program, *words_of(command), *["x"] * least)
        if done.returncode:
            assert re.search(r"^Error: [^\n]+\n\Z", done.stderr, re.M), done


# ---- JSON, and colours ----

JSON = {
    (GCE, "list"): [], (GCE, "version"): [], (GCE, "top"): [], (GCE, "self-diagnostic"): ["--log-kb", "1"],
    (GCE, "lint"): ["--offline", "ep"], (GCE, "map-identity"): ["--config", "map.json", "--identities", "ids.json"],
    (GCE, "simulate"): ["--identities", "ids.json", "ep"], (GCE, "render-user-config"): ["-t", "template"],
    (GCE, "whoami"): None,  # needs a service; test_sign_in.py looks at it
    (OURS, "version"): [], (OURS, "env"): [], (OURS, "audit verify"): ["map.json"],
}


@pytest.mark.parametrize("key", [k for k, argv in JSON.items() if argv is not None], ids=" ".join)
def test_json(run, key):
    run.endpoint("ep", "email: a@b\nidentity_mapping_config_path: ../../map.json\n")
    (run.base / "ep" / "user_config_template.yaml.j2").write_text("engine: {type: GlobusComputeEngine}\n")
    (run.folder / "map.json").write_text('[{"DATA_TYPE": "expression_identity_mapping#1.0.0", "mappings": '
                                         '[{"source": "{username}", "match": "x", "output": "y"}]}]')
    (run.folder / "ids.json").write_text('[{"id": "%s", "username": "z", "status": "used"}]' % UUID)
    (run.folder / "template").write_text("a: 1\n")
    run.folder.chmod(0o755)
    done = run(key[0], *key[1].split(), *JSON[key], "--json")
    assert isinstance(json.loads(done.stdout), (dict, list))


def test_json_wherever_a_script_reads():
    """Commands that tell something have --json; what is left out here only does something."""
    if not COMMANDS:
        pytest.skip("SALLYPORT_PREFIX does not name an installed tree")
    with_json = {(p, c["name"]) for p, c in COMMANDS if any(o["name"] == "--json" for o in c["options"])}
    assert set(JSON) <= with_json
    lists = {(p, c["name"]) for p, c in COMMANDS if re.search(r"\b(list|show|status)$", c["name"])}
    assert lists <= with_json


@pytest.mark.parametrize("program", [GCE, OURS])
def test_colours_on_a_terminal_only(run, program):
    def terminal(**environment):
        return on_a_terminal([PREFIX / "bin" / program, "--help"], {**run.environment, **environment}, 30)

    assert "\033[1mCommands:\033[m" in terminal(TERM="xterm")
    assert "\033" not in terminal(TERM="xterm", NO_COLOR="1") + terminal(TERM="dumb")
    assert "\033" not in run(program, "--help").stdout
