"""What only `./check --all` runs: it takes long and repeats, more widely, what always runs."""

import os

import pytest

ALL = bool(os.environ.get("SALLYPORT_ALL"))
REASON = "takes long: ./check --all"
takes_long = pytest.mark.skipif(not ALL, reason=REASON)


def some(values, often):
    """Parameters of which only those in `often` always run."""
    return [value if value in often else pytest.param(value, marks=takes_long) for value in values]
