"""Generated options and templates: `render-user-config` gives what the original's function gives."""

import json
import pathlib
import pwd
import subprocess
import tempfile

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("globus_compute_endpoint", reason="the Python original is not installed beside this Python")

from globus_compute_endpoint.endpoint.config import CoreEndpointConfig  # noqa: E402
from globus_compute_endpoint.endpoint.config.utils import render_config_user_template  # noqa: E402
from globus_compute_endpoint.endpoint.identity_mapper import MappedPosixIdentity  # noqa: E402

from support.long import ALL  # noqa: E402

# Left out are characters beyond U+FFFF, and quotes in lists and mappings, which may be printed whole: see
# docs/differences-templates.md.
TEXTS = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"]), max_size=12)
ODD = st.sampled_from(["", "yes", "null", "1e3", "0x1f", "- a", "a: b", "#", "'", '"', "\\", "{{ x }}", "{% x", "*a",
                       "&a", "!!int 3", "|", "\n", "a\nb: c", "\t", "%", "@", "`", "é", "  x ", "2020-01-01", "=", "~"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2**63, 2**63 - 1), TEXTS, ODD,
                    st.floats(-1e15, 1e15))  # whole numbers beyond 64 bits: docs/differences-templates.md
INNER = SCALARS.map(lambda v: "".join(c for c in v if c.isalnum() or c in " -:#{}%") if isinstance(v, str) else v)
NAMES = st.sampled_from(["x", "y", "z"])
OPTIONS = st.dictionaries(NAMES, st.one_of(SCALARS, st.lists(INNER, max_size=3),
                                           st.dictionaries(st.sampled_from(["k", "l"]), INNER, max_size=2)), max_size=3)
PIECES = st.sampled_from([
    "{N}: {{{{ {N} }}}}", "{N}: {{{{ {N}|default('d') }}}}", "{N}: {{{{ {N}|default() }}}}",
    "{N}: {{{{ {N}|tojson }}}}",
    "{N}: {{{{ {N}|default(none)|tojson }}}}", "{N}:\n{{% for i in {N}|default([]) %}}  - {{{{ i }}}}\n{{% endfor %}}",
    "{N}: {{% if {N} is defined %}}{{{{ {N} }}}}{{% else %}}none{{% endif %}}", "{N}: {{{{ {N}|length }}}}",
    "{N}: {{{{ {N}.k }}}}", "{N}: {{{{ {N} is string }}}}", "{N}: {{{{ {N} is number }}}}", "{N}: {{{{ {N} == 1 }}}}",
    "{N}: {{{{ {N}|int }}}}", "{N}: {{{{ {N}|default(1)|int + 1 }}}}", "{N}: {{{{ {N}|default(false) and 3 }}}}",
    "{N}: {{{{ {N}|shell_escape }}}}", "{N}: {{{{ '%s-%s'|format({N}, 2) }}}}", "{N}: {{{{ {N}|upper }}}}",
    "{N}: {{{{ {N}|first }}}}", "{N}: {{{{ 'a' in {N} }}}}", "{N}: {{{{ {N} if {N} else 'e' }}}}",
])
TEMPLATES = st.lists(st.tuples(PIECES, NAMES).map(lambda p: p[0].format(N=p[1])), min_size=1, max_size=3,
                     unique_by=lambda t: t[0]).map("\n".join)
HERE = pathlib.Path(__file__)
ROOT = pwd.getpwnam("root")


def theirs(template, options):
    """(text, None), or (None, name of the exception)."""
    try:
        identity = MappedPosixIdentity(ROOT, [], "00000000-0000-0000-0000-000000000000")
        return render_config_user_template(CoreEndpointConfig(), template, HERE, identity,
                                           {}, options, {}), None
    except Exception as e:
        return None, f"{type(e).__name__}: {e}"


@pytest.mark.timeout(600)
@settings(max_examples=3000 if ALL else 150, deadline=None, database=None,
          suppress_health_check=list(HealthCheck))
@given(TEMPLATES, OPTIONS)
def test_same_document(prefix, template, options):
    text, failure = theirs(template, options)
    with tempfile.TemporaryDirectory() as name:
        (folder := pathlib.Path(name)).chmod(0o755)
        (folder / "t").write_text(template)
        (folder / "o").write_text(json.dumps(options))
        done = subprocess.run([prefix / "bin" / "globus-compute-endpoint", "render-user-config", "-t", folder / "t",
                               "-o", folder / "o", "--json"], capture_output=True, text=True, timeout=30,
                              env={"PATH": "/usr/bin:/bin", "HOME": name, "LANG": "C.UTF-8"})
    answer = json.loads(done.stdout)
    if failure:
        assert "error" in answer, f"the original fails with {failure}\nours gives {answer['rendered']!r}"
        return
    assert "rendered" in answer, f"the original gives {text!r}\nours fails with {answer['error']}"
    if answer["rendered"] != text:
        assert loaded(answer["rendered"]) == loaded(text), f"{answer['rendered']!r}\n{text!r}"


def loaded(text):
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as e:
        return type(e).__name__
