"""What README and the manuals tell people to type can be typed, and what they point at is there."""

import os
import pathlib
import re
import shlex
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
PAGES = [TOP / "README.md", TOP / "ARCHITECTURE.md", *sorted((TOP / "docs").glob("*.md")), TOP / "bench" / "README.md"]
PROGRAMS = {"globus-compute-endpoint", "gce", "sallyport"}
SCRIPTS = re.compile(r"(\./(?:demo|check)|(?:tools|bench|examples)/[\w./-]+|\./[\w-]+)$")


def commands(page):
    """Lines to be typed: after a prompt in a block, or a line of a block that begins with a program of ours."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.S | re.M)
    blocks += ["\n".join(line[4:] for line in run.splitlines()) for run in
               re.findall(r"(?:^    .*\n)+", text, re.M)]
    for block in blocks:
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            match = re.match(r"[#$] (.*)|((?:globus-compute-endpoint|gce|sallyport) .*)", line)
            if match and (typed := (match[1] or match[2]).split(" # ")[0].strip()):
                yield typed


TYPED = sorted({(page, line) for page in PAGES for line in commands(page)})


def words_of(line):
    """The simple commands of a line, each as its words without variables and redirections."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return []
    found, one = [], []
    for word in words:
        if word in ("|", "&&", "||", ";", "<", ">", ">>"):
            found.append(one)
            one = []
        elif one or not re.match(r"[A-Z_]+=", word):
            one.append(word)
    return [one for one in (*found, one) if one]


@pytest.fixture(scope="module")
def helped(prefix):
    """The help of a command, or None when there is no such command."""
    known = {}

    def ask(program, *names):
        if (program, names) not in known:
            done = subprocess.run([prefix / "bin" / program, *names, "--help"], capture_output=True, text=True,
                                  timeout=30, env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent",
                                                   "GLOBUS_COMPUTE_USER_DIR": "/tmp"})
            known[program, names] = done.stdout if done.returncode == 0 else None
        return known[program, names]

    return ask


@pytest.mark.parametrize("page, line", TYPED, ids=lambda v: v.name if isinstance(v, pathlib.Path) else v[:60])
def test_can_be_typed(helped, page, line):
    for words in words_of(line):
        program = pathlib.Path(words[0]).name
        if program in PROGRAMS and len(words) > 1:
            check_command(helped, program, words[1:])
        for word in words:
            if SCRIPTS.match(word):
                assert (TOP / word).exists(), f"{page.name}: {line}: no {word} in the tree"


def check_command(helped, program, words):
    names = []
    for word in words:
        if not re.fullmatch(r"[a-z][a-z-]*", word) or len(names) == 2:
            break
        if helped(program, *names, word) is None:
            break
        names.append(word)
    if words[0] in ("COMMAND", "[OPTIONS]"):
        return
    assert names or words[0].startswith("-"), f"{program} has no command {words[0]}"
    text = helped(program, *names) or ""
    for word in words[len(names):]:
        if word.startswith("--") and len(word) > 2:
            option = word.split("=")[0].rstrip(",;")
            assert option in text, f"{program} {' '.join(names)} has no option {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("command", ["demo", "check"])
def test_the_two_commands(command):
    path = TOP / command
    assert os.access(path, os.X_OK)
    done = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
                          env={"PATH": os.environ["PATH"], "HOME": "/root"})
    assert done.returncode == 0 and f"./{command}" in done.stdout + done.stderr, done


def test_examples_are_run_by_a_scenario():
    """tests/peers runs them as they are, in each pair of manager and user endpoint."""
    scenarios = (TOP / "tests" / "peers" / "scenarios.py").read_text()
    for path in (TOP / "examples").glob("*.py"):
        assert f'example("{path.name}"' in scenarios
