"""A user endpoint alone, with a pretended service behind a real broker."""

import logging
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
logging.getLogger("pika").setLevel(logging.CRITICAL)  # it logs each refused connection at length

from uep import Cloud  # noqa: E402


@pytest.fixture
def cloud(prefix, rabbit, folder):
    """The service's side of one user endpoint, and the means to start it."""
    made = Cloud(prefix, rabbit.url, folder)
    yield made
    made.close()
