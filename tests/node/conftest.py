import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))


@pytest.fixture(scope="session")
def user_python():
    """The Python of a user who has the SDK: the one that runs these tests, unless told otherwise."""
    return os.environ.get("SALLYPORT_USER_PYTHON", sys.executable)
