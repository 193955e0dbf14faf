"""Providers and launchers, driven by blocks_drive against pretended batch systems or real ones."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import Double, Drive, drive_program  # noqa: E402


@pytest.fixture(scope="session")
def program():
    path = drive_program()
    if path is None:
        pytest.skip("no build folder holds src/endpoint/blocks/blocks_drive; SALLYPORT_BUILD names it")
    return path


@pytest.fixture
def double(folder):
    """double(system, commands): a pretended batch system; its jobs end with the test."""
    made = []

    def make(system, commands):
        made.append(Double(folder / f"double{len(made)}", system, commands))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def drive(program, folder):
    """drive(provider, path, **settings): blocks_drive; killed at the end of the test."""
    made = []

    def make(provider, path=os.environ["PATH"], **settings):
        settings.setdefault("dir", folder / "endpoint")
        made.append(Drive(program, provider=provider, path=path, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()
