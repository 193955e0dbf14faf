"""python-exec hands everything on but its own help."""

import json
import sys

import pytest

MODULE = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ.get('MARK')]))"


@pytest.fixture
def modules(folder):
    (folder / "echo_words.py").write_text(MODULE)
    return {"PYTHONPATH": str(folder), "GC_WORKER_PYTHON": sys.executable, "MARK": "here"}


@pytest.mark.parametrize("words", [
    [], ["a", "b"], ["--unknown", "x"], ["-x", "--y=1"], ["a", "--", "-h"], ["--", "--", "c"],
], ids=str)
def test_words_are_passed_on(both, modules, words):
    said = both("python-exec", "echo_words", *words, **modules)
    assert said.code == 0 and json.loads(said.out)[1] == "here"


@pytest.mark.parametrize("words", [["-h"], ["echo_words", "--help"]], ids=str)
def test_help_is_ours(both, modules, words):
    said = both("python-exec", *words, same=("code", "err"), **modules)
    assert said.code == 0 and "Run a Python module as a script" in said.out


def test_exit_status_is_the_modules(both, folder, modules):
    (folder / "leave.py").write_text("raise SystemExit(7)")
    assert both("python-exec", "leave", **modules).code == 7


def test_python_of_the_path(ours, modules):
    del modules["GC_WORKER_PYTHON"]
    assert ours("python-exec", "echo_words", "1", **modules).code == 0
    said = ours("python-exec", "echo_words", PATH="/nonexistent")
    assert said.code == 1 and "no python3 on PATH" in said.err
