"""Completion scripts work in their shells; manual pages and documents name what there is.  Of both
programs: each makes them from its own table."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

SOURCE = pathlib.Path(os.environ.get("SALLYPORT_SOURCE") or pathlib.Path(__file__).parents[2])
PROGRAMS = ("globus-compute-endpoint", "sallyport")
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb", "COLUMNS": "300"}


@pytest.fixture(params=PROGRAMS)
def name(request):
    return request.param


@pytest.fixture
def ask(prefix, folder):
    """ask(program, *argv): standard output."""
    (folder / "base" / "prod_gpu").mkdir(parents=True)
    (folder / "base" / "prod_gpu" / "config.yaml").write_text("")

    def run(name, *argv):
        return shell(prefix, folder, prefix / "bin" / name, *argv)

    return run


def environment(prefix, folder):
    return {**ENVIRONMENT, "PATH": f"{prefix}/bin:{ENVIRONMENT['PATH']}", "HOME": str(folder),
            "GLOBUS_COMPUTE_USER_DIR": str(folder / "base")}


def shell(prefix, folder, *argv):
    done = subprocess.run(argv, env=environment(prefix, folder), capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def table(ask, name):
    return json.loads(ask(name, "_describe", "json"))


def shown(table):
    return [c for c in table if not c["hidden"]]


# ---- the shells ----

GCE = [
    ("sta", ["start"]),
    ("start pro", ["prod_gpu"]),
    ("-c base delete --y", ["--yes"]),
    ("completion f", ["fish"]),
    ("whoami --lin", ["--linked-identities"]),
]
SALLYPORT = [
    ("serv", ["serve"]),
    ("us", ["user"]),
    ("user ad", ["add", "admin"]),
    ("user add --pass", ["--password-stdin"]),
    ("client list --js", ["--json"]),
    ("completion z", ["zsh"]),
    ("serve --brok", ["--broker"]),
]
CASES = [(PROGRAMS[0], *case) for case in GCE] + [(PROGRAMS[1], *case) for case in SALLYPORT]


@pytest.mark.parametrize("name, typed, wanted", CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_bash(prefix, folder, ask, name, typed, wanted):
    words = [name, *typed.split(" ")]
    quoted = " ".join(f"'{word}'" for word in words)
    function = "_" + name.replace("-", "_")
    out = shell(prefix, folder, "bash", "-c",
                f"source {prefix}/share/bash-completion/completions/{name}; COMP_WORDS=({quoted}); "
                f"COMP_CWORD={len(words) - 1}; {function}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    assert sorted(out.split()) == sorted(wanted)


def test_bash_knows_every_command(prefix, folder, ask, table, name):
    function = "_" + name.replace("-", "_")
    out = shell(prefix, folder, "bash", "-c",
                f"source {prefix}/share/bash-completion/completions/{name}; COMP_WORDS=({name} ''); "
                f"COMP_CWORD=1; {function}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    assert set(out.split()) == {c["name"].split()[0] for c in shown(table)}


@pytest.mark.parametrize("name, typed, wanted", CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_fish(prefix, folder, ask, name, typed, wanted):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    if typed.startswith("-c "):
        pytest.skip("fish's own __fish_use_subcommand takes the value of -c for a command")
    script = prefix / "share/fish/vendor_completions.d" / f"{name}.fish"
    out = shell(prefix, folder, "fish", "--no-config", "-c", f"source {script}; complete -C '{name} {typed}'")
    assert sorted(line.split("\t")[0] for line in out.splitlines()) == sorted(wanted)


def zsh_completes(prefix, folder, name, typed):
    """The line after a Tab at its end, in a zsh on a terminal of its own.  Enter shows a line instead of running
    it: some are commands that would start something."""
    (folder / ".zshrc").write_text(f"fpath=({prefix}/share/zsh/site-functions $fpath)\n"
                                   "autoload -Uz compinit; compinit -u -D\nPROMPT='ready:'\n"
                                   "unsetopt zle_bracketed_paste; LISTMAX=999\n"
                                   "show() { zle -I; print -r -- \"line: $BUFFER\"; BUFFER= }\n"
                                   "zle -N show; bindkey '^M' show '^J' show\n")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(["zsh", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder,
                               start_new_session=True, env={**environment(prefix, folder), "ZDOTDIR": str(folder)})
    os.close(theirs)
    text = ""

    def until(done, seconds=30):
        nonlocal text
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            if select.select([ours], [], [], 0.2)[0]:
                text += os.read(ours, 65536).decode(errors="replace")
        return done()

    try:
        assert until(lambda: "ready:" in text), text
        text = ""
        os.write(ours, f"{name} {typed}\t\n".encode())
        assert until(lambda: re.search("line: .*\n", text)), text
    finally:
        process.kill()
        process.wait(10)
        os.close(ours)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


@pytest.mark.parametrize("name, typed, wanted", [case for case in CASES if len(case[2]) == 1],
                         ids=lambda v: v if isinstance(v, str) else "")
def test_zsh(prefix, folder, ask, name, typed, wanted):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    typed_all, _, last = typed.rpartition(" ")
    got = zsh_completes(prefix, folder, name, typed)
    assert re.search(rf"{re.escape(typed_all)}.*{re.escape(wanted[0])}\b", got.replace("\n", "").replace("\b", "")), got


@pytest.mark.parametrize("shell_name, check", [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")])
def test_shells_can_read_theirs(prefix, folder, ask, name, shell_name, check):
    if not shutil.which(shell_name):
        pytest.skip(f"{shell_name} is not installed")
    script = folder / "script"
    script.write_text(ask(name, "completion", shell_name))
    shell(prefix, folder, shell_name, check, str(script))


def test_unknown_shell(prefix, name):
    done = subprocess.run([prefix / "bin" / name, "completion", "tcsh"], capture_output=True, text=True)
    assert done.returncode == 2 and "'tcsh' is not one of 'bash', 'zsh', 'fish'" in done.stderr


# ---- manual pages, documents, examples ----

def options(command, hidden=False):
    return {o["name"] for o in command["options"] if hidden or not o["hidden"]}


def test_manual_page_has_everything(prefix, table, name):
    page = prefix / "share/man/man1" / f"{name}.1"
    text = page.read_text().replace("\\-", "-")
    for command in shown(table):
        assert f".SS {command['name']}" in text
        for option in options(command):
            assert re.search(rf"\.B .*{re.escape(option)}\b", text), (command["name"], option)
    if shutil.which("man"):
        done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True,
                              env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LANG": "C.UTF-8"})
        assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("name", PROGRAMS[:1])
def test_document_and_table_agree(table, name):
    """docs/globus-compute-endpoint.md has a section a command, with its options and no others."""
    path = SOURCE / "docs" / "globus-compute-endpoint.md"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    sections = re.findall(r"^### `([a-z-]+)[^`]*`\n(.*?)(?=^##|\Z)", path.read_text(), re.M | re.S)
    assert sorted(n for n, _ in sections) == sorted(c["name"] for c in shown(table))
    for command in shown(table):
        named = set(re.findall(r"`(--[a-z-]+)", dict(sections)[command["name"]]))
        everywhere = {"--help", "--debug", "--no-color", "--log-to-console"}
        assert named - everywhere == options(command) - everywhere, command["name"]


def test_examples_in_the_table_parse(table):
    """Each command has an example, which names an existing command and its own options."""
    for command in table:
        lines = (command["examples"] or "").splitlines()
        assert lines, command["name"]
        for line in lines:
            assert line.startswith(command["name"])
            if not command["rest"]:
                given = {word.split("=")[0] for word in line.split() if word.startswith("--")}
                assert given <= options(command, hidden=True), line
