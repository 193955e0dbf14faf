"""prepare: what becomes of a start request after the drop, without a manager."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from handed import Handed  # noqa: E402


@pytest.fixture
def handed(prefix, folder, request):
    """A start request for an ordinary account (root makes one), or for ourselves without root."""
    if not (prefix / "libexec/sallyport/prepare").exists():
        pytest.skip("libexec/sallyport/prepare is not installed")
    account = request.getfixturevalue("accounts").get("render") if os.geteuid() == 0 else None
    return Handed(prefix, folder, account)
