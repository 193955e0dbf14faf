"""People and their programs at two service processes: whatever the one has begun, the other goes on with."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
import threading
import time
import urllib.parse

import pytest
from service_rig import wait_until, why_not
from test_processes import House

from support import postgres
from support.signin import PASSWORD, Visitor, by_server, code_of

HOST = "compute.example.org"  # what the site's proxy says to both
PAYLOAD = "12\n00\ngAQpLg==\n12\n00\ngAR9lC4=\n"


class Browser(Visitor):
    """One browser behind the proxy, which takes each request where the test says."""

    def __init__(self, member):
        super().__init__(f"http://{HOST}")
        self.http.headers["Host"] = HOST
        self.at(member)

    def at(self, member):
        self.member = member
        return self

    def ask(self, method, path, **kwargs):
        return self.http.request(method, self.member.url + path, allow_redirects=False, timeout=20, **kwargs)

    def path(self, url):
        return url.removeprefix(f"http://{HOST}")

    def send(self, page, **fields):
        action, hidden = self.form(page)
        return self.ask("POST", urllib.parse.urlsplit(action)._replace(scheme="", netloc="").geturl(),
                        data={**hidden, **fields})

    def token(self, **form):
        return self.ask("POST", "/v2/oauth2/token", data=form)


class Pair(House):
    """Two of the installed service."""

    def __init__(self, folder, program):
        super().__init__(folder)
        try:
            self.a, self.b = (self.member(name, program=program) for name in "ab")
        except BaseException:
            self.close()
            raise

    def close(self):
        self.stop()


@pytest.fixture(scope="module")
def house(prefix):
    program, admin = prefix / "libexec" / "sallyport" / "service", prefix / "bin" / "sallyport"
    if reason := why_not() or postgres.why_not():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="sallyport-processes-", dir="/var/tmp") as name:
        os.chmod(name, 0o711)
        with contextlib.closing(Pair(pathlib.Path(name), program)) as made:
            for person in ("ada", "victim"):
                done = subprocess.run([admin, "user", "add", f"{person}@example.org", "--password-stdin",
                                       "--data", made.folder / "data"], input=PASSWORD + "\n",
                                      capture_output=True, text=True, timeout=30)
                assert done.returncode == 0, done.stderr
            yield made


def signed_in(a, b):
    """Tokens, with every step at the other process than the one before."""
    visitor = Browser(a)
    page = visitor.ask("GET", visitor.path(visitor.authorize_url()))
    assert page.status_code == 200, page.text
    reply = visitor.at(b).send(page, action="sign-in", username="ada@example.org", password=PASSWORD)
    assert reply.status_code == 303, reply.text
    reply = visitor.at(a).redeem(code_of(reply))
    assert reply.status_code == 200, reply.text
    return visitor, by_server(reply.json())["funcx_service"]


def test_sign_in(house):
    a, b = house.a, house.b
    visitor, tokens = signed_in(a, b)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    for member in (a, b):
        assert visitor.at(member).ask("GET", "/v2/endpoints", headers=bearer).status_code == 200
    fresh = visitor.at(b).token(client_id="4cf29807-cf21-49ec-9443-ff9a3fb9f81c", grant_type="refresh_token",
                                refresh_token=tokens["refresh_token"])
    assert fresh.status_code == 200, fresh.text
    bearer = {"Authorization": f"Bearer {fresh.json()['access_token']}"}
    for member in (a, b):
        assert visitor.at(member).ask("GET", "/v2/endpoints", headers=bearer).status_code == 200
    done = visitor.at(a).ask("POST", "/v2/oauth2/token/revoke", data={
        "client_id": "4cf29807-cf21-49ec-9443-ff9a3fb9f81c", "token": fresh.json()["access_token"]})
    assert done.status_code == 200
    for member in (a, b):  # the other has seen it a moment ago, and asks the ledger again soon
        wait_until(lambda m=member: visitor.at(m).ask("GET", "/v2/endpoints", headers=bearer).status_code == 401, 30)


def test_a_code_is_good_once(house):
    visitor = Browser(house.a)
    page = visitor.ask("GET", visitor.path(visitor.authorize_url()))
    code = code_of(visitor.send(page, action="sign-in", username="ada@example.org", password=PASSWORD))
    assert visitor.at(house.b).redeem(code).status_code == 200
    assert visitor.at(house.a).redeem(code).status_code in (400, 401)


def at_the_console(a, b):
    visitor = Browser(a)
    page = visitor.ask("GET", "/web/sign-in")
    reply = visitor.at(b).send(page, username="ada@example.org", password=PASSWORD)
    assert reply.status_code == 303 and reply.headers["Location"] == "/web/", reply.text
    return visitor


def test_the_secret_of_a_form(house):
    a, b = house.a, house.b
    visitor = at_the_console(a, b)
    secrets = [visitor.at(m).ask("GET", "/web/api/me").json()["csrf"] for m in (a, b)]
    assert secrets[0] == secrets[1]
    assert visitor.at(b).ask("POST", "/web/sign-out", data={"csrf": "x" * len(secrets[0])}).status_code == 403
    assert visitor.at(b).ask("GET", "/web/api/me").status_code == 200
    assert visitor.at(b).ask("POST", "/web/sign-out", data={"csrf": secrets[0]}).status_code == 303
    visitor = at_the_console(a, b)
    cookie = dict(visitor.http.cookies)
    csrf = visitor.at(a).ask("GET", "/web/api/me").json()["csrf"]
    assert visitor.at(b).ask("POST", "/web/sign-out", data={"csrf": csrf}).status_code == 303
    with contextlib.suppress(KeyError):
        visitor.http.cookies.clear()
    for member in (a, b):
        wait_until(lambda m=member: visitor.at(m).ask("GET", "/web/api/me", cookies=cookie).status_code == 401, 30)


def test_a_page_at_one_sees_what_the_other_accepts(house):
    a, b = house.a, house.b
    visitor, tokens = signed_in(a, b)
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    watcher = at_the_console(a, b).at(b)
    events = []

    def listen():
        with contextlib.suppress(Exception):
            with watcher.http.get(b.url + "/web/api/events", stream=True, timeout=60) as stream:
                for line in stream.iter_lines(chunk_size=1):
                    if line.startswith(b"event: "):
                        events.append(line[7:].decode())
    threading.Thread(target=listen, daemon=True).start()
    wait_until(lambda: events[:2] == ["hello", "change"], 30)  # the first look of this page

    def post(path, body):
        answer = visitor.at(a).ask("POST", path, json=body, headers=bearer)
        assert answer.status_code == 200, answer.text
        return answer.json()
    endpoint = post("/v3/endpoints", {"endpoint_name": "e", "multi_user": False, "public": False,
                                      "high_assurance": False,
                                      "metadata": {"endpoint_version": "4.19.0"}})["endpoint_id"]
    function = post("/v3/functions", {"function_name": "f", "function_code": "19\nst\nf:def f(): pass\n",
                                      "serialized": True, "meta": {}})["function_uuid"]
    time.sleep(5)  # what the registration has changed has been told
    before = len(events)
    task = post(f"/v3/endpoints/{endpoint}/submit",
                {"tasks": {function: [PAYLOAD]}, "create_queue": False})["tasks"][function][0]
    wait_until(lambda: "change" in events[before:], 30)
    assert task in watcher.ask("GET", "/web/api/tasks").text


def test_each_counts_failed_sign_ins_for_itself(house):
    def tries(member, n):
        said = []
        for _ in range(n):
            visitor = Browser(member)
            page = visitor.ask("GET", "/web/sign-in")
            reply = visitor.send(page, username="victim@example.org", password="guess guess")
            said.append(reply.status_code)
        return said
    assert tries(house.a, 12)[-1] == 429
    assert tries(house.b, 1) == [403]
    assert tries(house.b, 12)[-1] == 429
