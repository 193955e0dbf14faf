"""The node agent and its workers, fed by a pretended user endpoint."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope="session")
def user_python():
    """The Python of a user who has the SDK: the one that runs these tests, unless told otherwise."""
    return os.environ.get("SALLYPORT_USER_PYTHON", sys.executable)


@pytest.fixture
def endpoint(tmp_path, user_python):
    from agent_probe import Endpoint

    made = []

    def make(env=None, **settings):
        e = Endpoint(tmp_path, user_python, env, **settings)
        made.append(e)
        return e.start()

    yield make
    for e in made:
        e.close()
