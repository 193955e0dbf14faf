"""Completion scripts work in their shells; the manual page and the documents name what there is."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(os.environ.get("SALLYPORT_SOURCE") or pathlib.Path(__file__).parents[2])


@pytest.fixture
def table(ours):
    return json.loads(ours("_describe", "json").out)


def shell(program, *argv, stdin=None):
    done = subprocess.run([*argv], input=stdin, env=program.environment, capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def bash_completes(program, words):
    """What bash would offer for the last word."""
    script = program.path.parent.parent / "share/bash-completion/completions/globus-compute-endpoint"
    quoted = " ".join(f"'{word}'" for word in words)
    return shell(program, "bash", "-c", f"source {script}; COMP_WORDS=({quoted}); "
                 f"COMP_CWORD={len(words) - 1}; _globus_compute_endpoint; printf '%s\\n' \"${{COMPREPLY[@]}}\"").split()


def test_bash(ours, table):
    ours.endpoint("prod_gpu")
    gce = str(ours.path)
    shown = {c["name"] for c in table if not c["hidden"]}
    assert set(bash_completes(ours, [gce, ""])) == shown
    assert bash_completes(ours, [gce, "sta"]) == ["start"]
    assert bash_completes(ours, [gce, "start", "pro"]) == ["prod_gpu"]
    assert bash_completes(ours, [gce, "-c", "x", "delete", "--y"]) == ["--yes"]
    assert bash_completes(ours, [gce, "completion", "f"]) == ["fish"]
    assert set(bash_completes(ours, [gce, "whoami", "--"])) == {"--linked-identities", "--json", "--help"}


@pytest.mark.parametrize("name, check", [("zsh", "-n"), ("fish", "--no-execute")])
def test_other_shells_can_read_theirs(ours, name, check, folder):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    script = folder / "script"
    script.write_text(ours("completion", name).out)
    shell(ours, name, check, str(script))


def test_fish(ours):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    script = ours("completion", "fish").out
    offered = shell(ours, "fish", "--no-config", "-c", script + "\ncomplete -C 'globus-compute-endpoint sta'")
    assert offered.split("\t")[0] == "start"


def test_unknown_shell(ours):
    said = ours("completion", "tcsh")
    assert said.code == 2 and "'tcsh' is not one of 'bash', 'zsh', 'fish'" in said.err


def options(command, hidden=False):
    return {o["name"] for o in command["options"] if hidden or not o["hidden"]}


def test_manual_page_has_everything(ours, table):
    page = ours.path.parent.parent / "share/man/man1/globus-compute-endpoint.1"
    text = page.read_text().replace("\\-", "-")
    for command in table:
        assert command["hidden"] or f".SS {command['name']}" in text
        if not command["hidden"]:
            for name in options(command):
                assert re.search(rf"\.B .*{re.escape(name)}\b", text), (command["name"], name)
    if shutil.which("man"):
        done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True,
                              env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LANG": "C.UTF-8"})
        assert done.returncode == 0 and not done.stderr, done.stderr


def test_document_and_table_agree(table):
    """docs/globus-compute-endpoint.md has a section a command, with its options and no others."""
    path = SOURCE / "docs" / "globus-compute-endpoint.md"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    sections = dict(re.findall(r"^### `([a-z-]+)[^`]*`\n(.*?)(?=^##|\Z)", path.read_text(), re.M | re.S))
    assert set(sections) == {c["name"] for c in table if not c["hidden"]}
    for command in table:
        if not command["hidden"]:
            named = set(re.findall(r"`(--[a-z-]+)", sections[command["name"]]))
            everywhere = {"--help", "--debug", "--no-color", "--log-to-console"}
            assert named - everywhere == options(command) - everywhere, command["name"]


def test_examples_in_the_table_parse(ours, table):
    """Each example names an existing command and its own options."""
    for command in table:
        for line in (command["examples"] or "").splitlines():
            words = line.split()
            assert words[0] == command["name"]
            if command["name"] != "python-exec":
                given = {word.split("=")[0] for word in words if word.startswith("--")}
                assert given <= options(command, hidden=True), line
