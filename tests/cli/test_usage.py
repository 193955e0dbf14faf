"""What is refused before anything is done."""

import json

import pytest

UUID = "5f0c7b1e-5ad4-4e0d-9c55-7a1b64a1d0ff"


@pytest.mark.parametrize("argv", [
    ["nonsense"],
    ["version", "extra"],
    ["delete", "--forc"],
    ["login", "--force=yes"],
    ["stop", "--remotely"],
    ["list", "x"],
    ["python-exec"],
    ["start", "absent"],
    ["stop", "absent"],
    ["restart", "absent"],
    ["delete", "absent"],
    ["start", UUID],
    ["enable-on-boot", "absent"],
    ["disable-on-boot", "absent"],
    ["migrate-to-template-capable", "absent"],
    ["logout", "-h"],
    ["start", "--endpoint-uuid"],
], ids=" ".join)
def test_refused_alike(both, argv):
    said = both(*argv, same=("code", "out"))
    assert said.code in (1, 2)
    assert "Error: " in said.err


@pytest.mark.parametrize("argv", [
    ["nonsense"], ["version", "extra"], ["login", "--force=yes"], ["list", "x"], ["start", "absent"],
    ["delete", "absent"], ["logout", "-h"], ["start", "--endpoint-uuid"],
], ids=" ".join)
def test_refused_in_the_same_words(both, argv):
    both(*argv)


def test_no_command_is_help_on_stderr(both):
    said = both(same=("code", "out"))
    assert said.code == 2 and said.err.startswith("Usage: globus-compute-endpoint ")


def test_help_of_every_command(ours):
    listed = ours("--help")
    assert listed.code == 0
    names = [line.split()[0] for line in listed.out.split("Commands:")[1].splitlines()
             if line.startswith("  ") and line[2] not in " $"]
    assert {"delete", "login", "logout", "whoami", "self-diagnostic", "enable-on-boot", "disable-on-boot",
            "migrate-to-template-capable", "python-exec", "completion"} <= set(names)
    for name in names:
        said = ours(name, "--help")
        assert said.code == 0 and said.out.startswith(f"Usage: globus-compute-endpoint {name} "), said
        assert "Examples:" in said.out


def test_version(both, ours):
    assert both("version").code == 0
    assert json.loads(ours("version", "--json").out)["version"] == "4.19.0"


def test_base_directory_is_made_by_every_command(ours):
    assert not ours.base.exists()
    ours("version")
    assert ours.base.stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_place_of_the_base_directory(ours, original):
    for program in (ours, original):
        program.base.write_text("")
        said = program("version")
        assert said.code == 1 and "please remove or rename the conflicting file" in said.err
