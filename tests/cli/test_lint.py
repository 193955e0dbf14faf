"""lint: each mistake is found, with its file, its line where there is one, and what to do."""

import http.server
import json
import os
import threading
import time
from email.utils import formatdate

import pytest

from configured import RULES, Site

from support.terminal import on_a_terminal


@pytest.fixture
def site(prefix, folder):
    return Site(prefix, folder)


def findings(site, *more):
    done = site("lint", "site", "--json", *(more or ["--offline"]))
    found = json.loads(done.stdout)
    assert done.stderr == ""
    assert all(f.keys() == {"level", "file", "line", "text"} for f in found)
    assert all(f["text"] and "\n" not in f["text"] for f in found)
    assert done.returncode == (1 if any(f["level"] == "error" for f in found) else 0)
    return found


def test_fresh_endpoint(site):
    assert [f["level"] for f in findings(site)] == ["note"]
    done = site("lint", "site", "--offline")
    assert done.stdout == "note: the clock was not checked: --offline was given\n0 errors, 0 warnings\n"
    assert done.returncode == 0


TEMPLATE, SCHEMA = "user_config_template.yaml.j2", "user_config_schema.json"
ENVIRONMENT, CONFIG = "user_environment.yaml", "config.yaml"
CLOSED = '{"type": "object", "properties": {}, "additionalProperties": false}'
BROKEN_TYPE = '{"type": "object",\n "properties": {\n  "a": {"type": "strng"}}}'
MAPPING = "email: a@b\nidentity_mapping_config_path: map.json\n"


@pytest.mark.parametrize("name, text, mode, level, line, want", [
    ("map.json", "[\n{,}]", 0o600, "error", 2, "not JSON"),
    ("map.json", "[]", 0o600, "warning", None, "it maps nobody; add a mapping"),
    ("map.json", '[\n{"DATA_TYPE": "external_identity_mapping#1.0.0",\n "command": ["/no/prog"]}]', 0o600,
     "error", 3, "the mapping program /no/prog: No such file or directory; install it"),
    ("map.json", '[{"DATA_TYPE": "external_identity_mapping#1.0.0", "command": ["prog"]}]', 0o600,
     "warning", 1, "is not an absolute path"),
    ("map.json", json.dumps(RULES), 0o666, "error", None, "everybody may write to it; chmod o-w"),
    (TEMPLATE, "a: 1\nb: {{ unknown_thing }}", 0o644, "warning", 2, "`unknown_thing` is not in the schema"),
    (TEMPLATE, "a: 1\n\n{% if %}", 0o644, "error", 3, "(TemplateSyntaxError)"),
    (TEMPLATE, "a: 1\n{%- include 'x' %}", 0o644, "error", 2, "users can't list"),
    (TEMPLATE, "a: 1\n{%+ from 'x' import y %}", 0o644, "error", 2, "users can't list"),
    (TEMPLATE, "x" * ((1 << 20) + 1), 0o644, "error", None, "can't read it: "),
    (SCHEMA, "{\n", 0o644, "error", 2, "not JSON"),
    (SCHEMA, BROKEN_TYPE, 0o644, "error", 3, "no valid schema, so every start fails: 'strng' is not valid"),
    (SCHEMA, '{"properties": {"a": {"minimum": "x"}}}', 0o644, "error", 1, "'x' is not of type 'number'"),
    (SCHEMA, '{"properties": {"a": {"pattern": "("}}}', 0o644, "error", None, "a regular expression of"),
    (SCHEMA, '{"$ref": "#/nowhere"}', 0o644, "error", None, "PointerToNowhere"),
    (SCHEMA, "false", 0o644, "warning", 1, "refuses every request"),
    (ENVIRONMENT, "A: 1\nPATH: /nowhere", 0o644, "error", 2, "is not on the PATH of user endpoints, /nowhere;"),
    (ENVIRONMENT, "[1]", 0o644, "error", 1, "it is a list, not a mapping"),
    (ENVIRONMENT, "a: [\n\n", 0o644, "error", 3, "every start fails"),
    (CONFIG, "email: a@b\nsallyport: {user_endpoint_executable: /root/x}\n", 0o600, "error", 2,
     "users can't run /root/x: "),
    (CONFIG, MAPPING + "\nnonsense: 1\n", 0o600, "error", 4, "`nonsense`: Unexpected keyword argument"),
    (CONFIG, MAPPING + "heartbeat_period: soon\n", 0o600, "error", 3, "`heartbeat_period`: Input should be"),
    (CONFIG, MAPPING + "sallyport: {foo: 1}\n", 0o600, "error", 3, "`foo`: Unexpected keyword argument"),
    (CONFIG, "a: [\n", 0o600, "error", 2, "the manager does not start with it"),
    (CONFIG, "identity_mapping_config_path: map.json\n", 0o600, "error", None, "add `email`"),
    (CONFIG, MAPPING + "engine: {}\n", 0o600, "error", 3, "migrate-to-template-capable"),
    (CONFIG, "email: a@b\nidentity_mapping_config_path: gone.json\n", 0o600, "error", None, "it is missing; "),
])
def test_finds(site, name, text, mode, level, line, want):
    if name == TEMPLATE:
        site.write(SCHEMA, CLOSED)
    site.write(name, text, mode)
    found = findings(site)
    hit = [f for f in found if f["level"] == level and want in f["text"]]
    assert hit, found
    assert hit[0]["line"] == line and (hit[0]["file"].endswith(name) or name == CONFIG), hit


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of other accounts are made")
def test_files_of_others(site):
    os.chown(site.dir / TEMPLATE, 12345, 12345)
    site.dir.chmod(0o777)
    found = {(f["level"], os.path.basename(f["file"] or "")): f["text"] for f in findings(site)}
    assert "belongs to uid 12345" in found["error", TEMPLATE]
    assert "everybody may write to it" in found["error", "site"]


# ---- the clock ----

class Service(http.server.BaseHTTPRequestHandler):
    """Takes part as a proxy; answers 200 to everything, by a clock that is `ahead` seconds off ours."""

    def do_GET(self):
        self.send_response_only(200)
        if self.server.ahead is not None:
            self.send_header("Date", formatdate(time.time() + self.server.ahead, usegmt=True))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def service():
    with http.server.HTTPServer(("127.0.0.1", 0), Service) as server:
        server.ahead = 0
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def clock(site, service):
    site.environment |= {"GLOBUS_SDK_ENVIRONMENT": "local",
                         "GLOBUS_SDK_SERVICE_URL_AUTH": "http://localhost:5000/",
                         "http_proxy": f"http://127.0.0.1:{service.server_address[1]}"}
    done = site("lint", "site", "--json")
    found = [f for f in json.loads(done.stdout) if "clock" in f["text"]]
    assert all(f["file"] is None for f in found)
    return done.returncode, [(f["level"], f["text"]) for f in found]


def test_clock_is_right(site, service):
    assert clock(site, service) == (0, [])
    service.ahead = 20
    assert clock(site, service) == (0, [])


@pytest.mark.parametrize("ahead, code, level, side", [
    (60, 0, "warning", "behind"), (-60, 0, "warning", "ahead of"),
    (100000, 1, "error", "behind"), (-300, 1, "error", "ahead of")])
def test_clock_is_wrong(site, service, ahead, code, level, side):
    service.ahead = ahead
    got, found = clock(site, service)
    assert got == code and found[0][0] == level
    assert f" s {side} that of the web service" in found[0][1] and "synchronise it" in found[0][1]


def test_clock_is_not_known(site, service):
    service.ahead = None
    code, found = clock(site, service)
    assert code == 0 and found[0][0] == "note" and "has no date" in found[0][1]
    service.server_close()
    code, found = clock(site, service)
    assert code == 0 and found[0][0] == "note" and found[0][1].startswith("the clock was not checked: ")


# ---- how it looks ----

def looks(site, *argv, **environment):
    return on_a_terminal([site.program, "-c", site.base, *argv], {**site.environment, **environment})


def test_colours_on_a_terminal_only(site):
    site.write(TEMPLATE, "{% if %}")
    assert "\033[31merror:\033[m " in looks(site, "lint", "site", "--offline")
    assert "\033" not in looks(site, "lint", "site", "--offline", NO_COLOR="1")
    assert "\033" not in looks(site, "lint", "site", "--offline", "--json")
    assert "\033" not in site("lint", "site", "--offline").stdout
