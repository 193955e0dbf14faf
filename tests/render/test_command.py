"""`render-user-config`: the case file through the command, and the original's words for errors."""

import json
import os
import pathlib
import pwd
import subprocess
import sys

import pytest

CASES = json.loads((pathlib.Path(__file__).parent.parent / "data/render-cases.json").read_text())
ORIGINAL = pathlib.Path(sys.executable).parent / "globus-compute-endpoint"


class Command:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.base = folder / "base"

    def __call__(self, *argv, stdin=""):
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8",
               "GLOBUS_COMPUTE_USER_DIR": str(self.base)}
        return subprocess.run([self.program, "render-user-config", *map(str, argv)], input=stdin,
                              capture_output=True, text=True, env=env, cwd=self.folder, timeout=60)

    def write(self, name, data):
        path = self.folder / name
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path


@pytest.fixture
def command(prefix, folder):
    return Command(prefix / "bin/globus-compute-endpoint", folder)


@pytest.fixture
def original(folder):
    if not ORIGINAL.exists():
        pytest.skip("the original is not installed beside this Python")
    return Command(ORIGINAL, folder)


def identity():
    record = CASES["fixed"]["mapped_identity"]["local_user_record"]
    names = ["uname", None, "uid", "gid", "gecos", "dir", "shell"]
    local = {n: v for n, v in zip(names, record) if n} | {"groups": [7001]}
    return {"local": local, "globus": {"id": CASES["fixed"]["mapped_identity"]["matched_identity"]}}


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda c: c["id"])
def test_case(command, case):
    argv = ["-t", command.write("user_config_template.yaml.j2", case["template"]),
            "-o", command.write("o.json", case.get("user_opts_json", case.get("user_opts", {}))),
            "--parent-config", command.write("p.yaml", case.get("parent_config", "")),
            "--user-runtime", command.write("r.json", case.get("user_runtime")
                                            or CASES["fixed"]["user_runtime_default"]),
            "--mapped-identity", command.write("m.json", identity())]
    if "schema" in case:
        argv += ["-s", command.write("s.json", case["schema"])]
    for name, text in case.get("files", {}).items():
        command.write(name, text)
    done = command(*argv)
    expect = case["expect"]
    if expect["ok"]:
        assert done.returncode == 0, done.stderr
        assert done.stdout == expect["rendered"] + "\n"
        assert "> Rendered user config:\n" in done.stderr
        return
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("Error: Failed to render user configuration template.\n\t"
                                  f"({expect['error_module']}.{expect['error_type']}) ")


def test_defaults(command):
    template = command.write("t", "u: {{ _GC.mapped_identity.local.uname }}\n"
                             "i: {{ _GC.mapped_identity.globus.id }}\n"
                             "s: {{ _GC.user_runtime.globus_compute_sdk_version }}\n"
                             "n: {{ _GC.user_runtime.platform.node }}\n"
                             "h: {{ _GC.env.HOME }}\n")
    done = command("-t", template)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert lines == {"u": pwd.getpwuid(os.getuid()).pw_name, "s": '"4.19.0"',
                     "i": "00000000-0000-0000-0000-000000000000",
                     "n": json.dumps(os.uname().nodename), "h": str(command.folder)}


@pytest.mark.parametrize("name", ["user_config_template.yaml.j2", "user_config_template.yaml"])
def test_of_an_endpoint(command, name):
    ep = command.base / "ep"
    ep.mkdir(parents=True)
    (ep / "config.yaml").write_text("display_name: Big\nmulti_user: true\n")
    (ep / name).write_text("d: {{ _GC.parent_config.display_name }}\nw: {{ w }}\n")
    (ep / "user_config_schema.json").write_text('{"required": ["w"]}')
    done = command("-e", "ep", "-o", "-", stdin='{"w": "x"}')
    assert (done.returncode, done.stdout) == (0, 'd: Big\nw: "x"\n'), done.stderr
    done = command("-e", "ep")
    assert done.returncode == 1
    assert "(jsonschema.exceptions.ValidationError) 'w' is a required property" in done.stderr
    (ep / "config.yaml").write_text("engine: {}\n")
    done = command("-e", "ep")
    assert (done.returncode, done.stderr) == (1, "Error: Endpoint ep does not support templating.\n")


ERRORS = [
    [],
    ["-t", "t", "-o", "list"],
    ["-t", "t", "-s", "list"],
    ["-t", "t", "--user-runtime", "list"],
    ["-t", "t", "--parent-config", "engine"],
    ["-e", "nosuch"],
]


@pytest.mark.parametrize("argv", ERRORS, ids=" ".join)
def test_errors_as_the_original(command, original, argv):
    command.write("t", "a: 1\n")
    command.write("list", "[]")
    command.write("engine", "engine: {type: ThreadPoolEngine}\n")
    ours, theirs = command(*argv), original(*argv)
    assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout) == (1, "")
    assert ours.stderr == theirs.stderr


def test_bad_json_and_bad_parent(command):
    command.write("t", "a: 1\n")
    command.write("bad", "{")
    for option, what in {"-o": "user options", "-s": "user schema", "--user-runtime": "user runtime",
                         "--mapped-identity": "mapped identity"}.items():
        done = command("-t", "t", option, "bad")
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: Invalid JSON in bad for {what}.\n\t(json.decoder.JSONDecodeError) ")
    done = command("-t", "t", "--parent-config", command.write("p", "nosuch_key: 1\n"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: Invalid parent config data in {command.folder}/p.\n\t(")
    assert "nosuch_key" in done.stderr


def test_template_and_another_from_stdin(command):
    done = command("-t", "-", "-o", "-", stdin="a")
    assert done.returncode == 1
    assert done.stderr == "Error: At most one input may be read from stdin across all options.\n"
    done = command("-t", "-", stdin="a: {{ 1 + 1 }}\n")
    assert (done.returncode, done.stdout) == (0, "a: 2\n")


def test_missing_file_is_a_usage_error(command):
    done = command("-t", "nosuch")
    assert done.returncode == 2 and "nosuch" in done.stderr


def test_deprecated_names_warn(command):
    done = command("-t", command.write("t", "{{ mapped_identity.local.uid }}"))
    assert (done.returncode, done.stdout) == (0, f"{os.getuid()}\n")
    assert "Template access to `mapped_identity` is deprecated" in done.stderr


def test_json(command):
    done = command("-t", command.write("t", "a: {{ a }}\nb: {{ b }}"), "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"error": {"kind": "undefined", "type": "UndefinedError",
                                                 "message": "'a' is undefined", "where": "t:1"}}
    done = command("-t", command.write("t", "a: 1"), "--json")
    assert json.loads(done.stdout) == {"rendered": "a: 1", "warnings": []}
