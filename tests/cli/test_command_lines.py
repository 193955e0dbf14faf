"""Random sequences of configure, list and delete: to the original and to ours; exit codes, and the tree of
files with its modes after each, are compared."""

import itertools
import shutil

import pytest

pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from test_configure import POLICY, tree  # noqa: E402

NAMES = st.sampled_from(["ep", "other", "a/b", ".hidden", "", "ö", "x y", "-", POLICY, "$HOME"])
VALUES = st.sampled_from(["text", "", "yes", "0", "a: b", "-x", "ü", "--", "'q'"])
FLAGS = st.sampled_from([["--multi-user", "false"], ["--multi-user=no"], ["--multi-user", "true"],
                         ["--multi-user", "true", "--contact-email", "a@b.org"], ["--high-assurance"],
                         ["--subscription-id", POLICY], ["--auth-policy", POLICY], ["--debug"], ["--no-color"]])
TEXTS = st.builds(lambda value: [f"--display-name={value}"], VALUES)
CONFIGURE = st.builds(lambda options, name: ["configure", *itertools.chain(*options), name],
                      st.lists(st.one_of(FLAGS, TEXTS), max_size=3), NAMES)
DELETE = st.builds(lambda options, name: ["delete", *options, name],
                   st.lists(st.sampled_from(["--yes", "--force", "--nonsense"]), max_size=2, unique=True), NAMES)
LINES = st.lists(st.one_of(CONFIGURE, CONFIGURE, DELETE), min_size=1, max_size=2)


@pytest.mark.timeout(500)
@settings(max_examples=12, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES)
def test_same_codes_and_files(ours, original, lines):
    for program in (ours, original):
        shutil.rmtree(program.base, ignore_errors=True)
    for line in lines:
        us, them = ours(*line), original(*line)
        assert us.code == them.code, (line, us, them)
        assert tree(ours) == tree(original), line
    if not any(ours.base.glob("*/config.yaml")):  # the original's list ends in a traceback when there is one
        assert ours("list").out == original("list").out
