"""configure, list, stop: the same command line to the original and to ours; exit code, output, and the
tree of files with their modes are compared."""

import os
import re
import stat

import pytest
import yaml

EMAIL = ["--contact-email", "hpc@example.org"]
POLICY = "5f0c7b1e-5ad4-4e0d-9c55-7a1b64a1d0ff"
OWN_TEXT = {"user_config_template.yaml.j2", "user_config_schema.json", "user_environment.yaml",
            "example_identity_mapping_config.json"}


def tree(program):
    """Path, mode and content of everything; of the files whose words are our own only whether they are there."""
    found = {}
    for folder, _, names in os.walk(program.base):
        for path in [folder, *(os.path.join(folder, name) for name in names)]:
            name = os.path.relpath(path, program.base)
            if os.path.basename(path) in ("storage.db", "endpoint.log"):
                continue
            mode = oct(stat.S_IMODE(os.stat(path).st_mode))
            content = None
            if os.path.isfile(path) and os.path.basename(path) not in OWN_TEXT:
                content = program.shown(open(path).read())
                if name.endswith("config.yaml"):
                    # Our texts of an empty mapping differ in nothing; quoting may.
                    content = list((yaml.safe_load(content) or {}).items())
            found[name] = (mode, content)
    return found


def alike(ours, original, *argv, out=True, **more):
    us, them = ours(*argv, **more), original(*argv, **more)
    assert us.code == them.code, (argv, us, them)
    if out:
        assert re.sub(r"\s+", " ", us.out).strip() == re.sub(r"\s+", " ", them.out).strip(), (argv, us, them)
    assert tree(ours) == tree(original), argv
    return us


@pytest.fixture
def files(folder):
    """Sources for the options that name files."""
    given = {"core.yaml": "display_name: from file\nheartbeat_period: 40\n", "template": "engine: {{ x }}\n",
             "schema": "{}\n", "env": "A: 1\n", "map": "[]\n", "list.yaml": "- 1\n", "empty.yaml": "",
             "scalar.yaml": "word\n", "engine.yaml": "engine: {type: X}\ndisplay_name: y\n"}
    for name, text in given.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("argv", [
    ["--multi-user", "false", "ep"],
    ["--multi-user=FALSE", "ep"],
    ["--multi-user", "true", *EMAIL, "ep"],
    ["--multi-user", "true", *EMAIL, "--display-name", "An End: point", "--subscription-id", POLICY,
     "--auth-policy", POLICY, "ep"],
    ["--multi-user", "false", *EMAIL, "--display-name", "yes"],
    ["--multi-user", "true", *EMAIL, "--high-assurance", "--auth-policy", POLICY, "--subscription-id", POLICY, "ep"],
    ["--multi-user", "true", *EMAIL, "--core-config", "@core.yaml", "--template-config", "@template",
     "--schema-config", "@schema", "--user-env-config", "@env", "--id-mapping-config", "@map", "ep"],
    ["--multi-user", "false", "--core-config", "@core.yaml", "ep"],
    ["--multi-user", "false", "--manager-config", "@core.yaml", "ep"],
    ["--multi-user", "false", "--core-config", "@engine.yaml", "ep"],
    ["--multi-user", "false", "ep", "--display-name", "a", "--display-name", "b"],
    ["--multi-user", "false", "größe"],
    ["--multi-user", "false", "a;b"],
    ["--multi-user", "false", "--", "-x"],
], ids=" ".join)
def test_made_alike(ours, original, files, argv):
    argv = [str(files / word[1:]) if word.startswith("@") else word for word in argv]
    said = alike(ours, original, "configure", *argv)
    assert said.code == 0 and len(tree(ours)) > 3


@pytest.mark.parametrize("argv", [
    ["ep"],
    ["--multi-user", "true", "ep"],
    ["--multi-user", "false", "--id-mapping-config", "@map", "ep"],
    ["--multi-user=maybe", "ep"],
    ["--multi-user", "false", "--high-assurance", "ep"],
    ["--multi-user", "false", "--high-assurance", "--subscription-id", POLICY, "ep"],
    ["--multi-user", "false", "--auth-policy-mfa-required", "ep"],
    ["--multi-user", "false", "--auth-policy", POLICY, "--allowed-domains", "a.org", "ep"],
    ["--multi-user", "false", "--auth-policy-mfa-required", "--allowed-domains", "a.org", "ep"],
    ["--multi-user", "false", "--auth-timeout", "-1", "ep"],
    ["--multi-user", "false", "--auth-timeout", "soon", "ep"],
    ["--multi-user", "false", "--core-config", "@list.yaml", "ep"],
    ["--multi-user", "false", "--core-config", "@scalar.yaml", "ep"],
    ["--multi-user", "false", "--core-config", "@empty.yaml", "ep"],
    ["--multi-user", "false", "--core-config", "@gone", "ep"],
    ["--multi-user", "false", "--template-config", "@", "ep"],
    ["--multi-user", "false", "a/b"], ["--multi-user", "false", ".."], ["--multi-user", "false", ".x"],
    ["--multi-user", "false", "a b"], ["--multi-user", "false", 'a"b'], ["--multi-user", "false", "a\\b"],
    ["--multi-user", "false", ""], ["--multi-user", "false", "x" * 129],
    ["--multi-user", "false", POLICY],
    ["--multi-user", "false", "a", "b"],
    ["--nonsense"],
    ["--display-name"],
], ids=lambda argv: " ".join(argv)[:60])
def test_refused_alike(ours, original, files, argv):
    argv = [str(files / word[1:]) if word.startswith("@") else word for word in argv]
    said = alike(ours, original, "configure", *argv)
    assert said.code in (1, 2) and "Error: " in said.err


def test_existing_endpoint(ours, original):
    argv = ["configure", "--multi-user", "false", "ep"]
    alike(ours, original, *argv)
    said = alike(ours, original, *argv)
    assert said.code == 1 and said.out == "BASE/ep\nconfig dir <ep> already exists\n"


@pytest.mark.parametrize("umask", [0, 0o777, 0o027])
def test_umask_of_the_caller(ours, original, umask):
    before = os.umask(umask)
    try:
        alike(ours, original, "configure", "--multi-user", "true", *EMAIL, "ep")
    finally:
        os.umask(before)


def test_list_of_nothing(both):
    assert both("list").out.startswith("No endpoints configured!")


@pytest.mark.parametrize("pid_age", [None, 31, 100000])
def test_stop_of_one_that_does_not_run(ours, original, pid_age):
    for program in (ours, original):
        program.endpoint("ep", pid_age=pid_age)
    said = alike(ours, original, "stop", "ep")
    assert said.code == 0
    assert not (ours.base / "ep" / "daemon.pid").exists()


def test_start_twice(ours, original):
    """A fresh PID file: another instance, on whichever host."""
    for program in (ours, original):
        program.endpoint("ep", config="display_name: x\nemail: a@b.org\n", pid_age=0)
        (program.base / "ep" / "user_config_template.yaml.j2").write_text("engine: {type: GlobusComputeEngine}\n")
    us, them = ours("start", "ep"), original("start", "ep")
    assert us.code == them.code == 73
    assert "Another instance of this endpoint is running." in us.err  # the original tells a terminal only
    assert (ours.base / "ep" / "daemon.pid").exists()


@pytest.mark.parametrize("command", ["self-diagnostic-x", "update_funcx_config", "validate-config"])
def test_commands_of_the_past(both, command):
    assert both(command).code == 2


@pytest.mark.parametrize("argv", [["_start-user-endpoint", "ep"], ["start", "--die-with-parent", "ep"]], ids=" ".join)
def test_hidden_commands_without_a_parent(ours, original, argv):
    for program in (ours, original):
        program.endpoint("ep")
    us, them = ours(*argv, stdin="{}"), original(*argv, stdin="{}")
    assert us.code == them.code == 1
    assert "Missing or invalid endpoint information from stdin" in us.err + us.out + \
        "".join(p.read_text() for p in ours.base.glob("ep/endpoint.log"))
