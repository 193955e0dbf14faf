"""Identities from elsewhere: the host's accounts by PAM, and a real OpenID Connect provider."""

import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.parse

import pytest

from support.process import Daemon, free_port, wait_for
from support.rabbit import why_not as no_rabbit
from support.signin import PASSWORD, Visitor, by_server, code_of
from support.stack import Service

CLAIMS = [
    {"sub": "c-1", "preferred_username": "dora", "name": "Dora <Campus>", "email": "dora@campus.example.edu",
     "amr": ["pwd", "mfa"]},
    {"sub": "c-2", "preferred_username": "mallory@example.org", "name": "Mallory"},
    {"sub": "c-3", "preferred_username": "alice", "name": "Another Alice"},
]


def provider_program():
    """oidc-provider-mock of PyPI: beside this Python, or in the environment that install-deps makes."""
    install_deps = pathlib.Path(__file__).parents[2] / "tools" / "install-deps"
    places = [pathlib.Path(sys.executable).parent]
    done = subprocess.run([install_deps, "--venv", "oidc"], capture_output=True, text=True, timeout=20)
    if done.returncode == 0:
        places.append(pathlib.Path(done.stdout.strip()) / "bin")
    return shutil.which("oidc-provider-mock", path=os.pathsep.join(map(str, places))) or shutil.which(
        "oidc-provider-mock")


@pytest.fixture(scope="module")
def provider(session_folder):
    program = provider_program()
    if not program:
        pytest.skip("oidc-provider-mock is not installed (tools/install-deps check)")
    port = free_port()
    argv = [program, "-p", str(port)]
    for claims in CLAIMS:
        argv += ["--user-claims", json.dumps(claims)]
    daemon = Daemon(argv, session_folder / "provider.out")
    url = f"http://127.0.0.1:{port}"

    def answers():
        daemon.check_alive()
        try:
            return Visitor(url).http.get(url + "/.well-known/openid-configuration", timeout=5).ok
        except OSError:
            return False

    wait_for("the OpenID provider", answers, 60, 0.2)
    yield url
    daemon.stop()


@pytest.fixture(scope="module")
def house(prefix, session_folder, provider):
    """A service with three sources."""
    if reason := no_rabbit():
        pytest.skip(reason)
    folder = session_folder / "house"
    (folder / "data").mkdir(parents=True)
    (folder / "pam.d").mkdir()
    check = folder / "check"
    check.write_text('#!/bin/sh\nread -r word\n[ "$PAM_USER:$word" = "carol:her own words" ]\n')
    check.chmod(0o755)
    (folder / "pam.d" / "house").write_text(
        f"auth sufficient pam_exec.so expose_authtok quiet {check}\nauth required pam_deny.so\naccount required pam_permit.so\n")
    (folder / "secret").write_text("s3cret+%\n")
    (folder / "data" / "service.yaml").write_text(json.dumps({"auth": {"domain": "example.org", "sources": [
        {"kind": "local"},
        {"kind": "pam", "name": "house", "title": "Cluster account", "service": "house",
         "confdir": str(folder / "pam.d"), "domain": "hpc.example.org"},
        {"kind": "oidc", "name": "campus", "title": "Campus login", "issuer": provider, "client_id": "sallyport",
         "client_secret_file": str(folder / "secret"), "domain": "campus.example.edu"},
    ]}}))
    with Service(prefix, folder, "--debug") as running:
        running.command("user", "add", "alice", "--password-stdin", stdin=PASSWORD + "\n")
        yield running


def who_is(visitor, tokens):
    return visitor.get("/v2/oauth2/userinfo", tokens["auth.globus.org"]["access_token"]).json()


def through_provider(visitor, subject, page=None):
    """Follows "Sign in with ..." there and back: what the last page answers."""
    page = page or visitor.http.get(visitor.authorize_url(), timeout=20)
    link = html.unescape(re.search(r'<a class="button" href="([^"]*)">Sign in with Campus login', page.text)[1])
    there = visitor.http.get(visitor.url + link, timeout=20)
    assert there.ok and "sub" in there.text, there.text
    return visitor.http.post(there.url, data={"sub": subject}, timeout=20)


def test_local_users_by_bare_name(house):
    visitor = Visitor(house.url)
    assert who_is(visitor, visitor.tokens("alice"))["preferred_username"] == "alice@example.org"


def test_account_of_the_host(house):
    visitor = Visitor(house.url)
    for name, password in (("carol", "wrong words"), ("dave", "her own words"), ("carol@elsewhere.org", "her own words")):
        assert Visitor(house.url).sign_in(name, password).status_code == 403
    reply = visitor.sign_in("carol", "her own words")
    info = who_is(visitor, by_server(visitor.redeem(code_of(reply)).json()))
    assert info["preferred_username"] == "carol@hpc.example.org"
    assert info["identity_provider_display_name"] == "Cluster account"
    again = Visitor(house.url)
    info_again = who_is(again, by_server(again.redeem(code_of(
        again.sign_in("carol@hpc.example.org", "her own words"))).json()))
    assert info_again["sub"] == info["sub"]


def test_provider_there_and_back(house):
    visitor = Visitor(house.url)
    back = through_provider(visitor, "c-1")
    assert back.ok and "dora@campus.example.edu" in back.text and "Continue" in back.text, back.text
    info = who_is(visitor, by_server(visitor.redeem(code_of(visitor.send(back))).json()))
    assert info["preferred_username"] == "dora@campus.example.edu" and info["name"] == "Dora <Campus>"
    assert info["identity_provider_display_name"] == "Campus login"
    # A second factor that the provider vouches for counts.
    second = Visitor(house.url)
    page = second.http.get(second.authorize_url(session_required_mfa="True", prompt="login"), timeout=20)
    back = through_provider(second, "c-1", page)
    assert second.send(back).status_code == 303


def test_provider_names_only_its_own(house):
    """A provider can't make up people of another domain, nor take over a name that is there."""
    back = through_provider(Visitor(house.url), "c-2")
    assert back.status_code == 502 and "mallory" not in house.command("user", "list")
    assert "may name people of campus.example.edu only" in house.output()
    assert through_provider(Visitor(house.url), "c-3").ok
    listed = house.command("user", "list")
    assert "alice@campus.example.edu" in listed and "alice@example.org" in listed


def test_linked_identities(house):
    """`user link` makes one person of both; each still signs in its own way."""
    visitor = Visitor(house.url)
    assert through_provider(visitor, "c-1").ok
    house.command("user", "link", "dora@campus.example.edu", "alice")
    info = who_is(visitor, by_server(visitor.redeem(code_of(visitor.send(
        visitor.http.get(visitor.authorize_url(), timeout=20)))).json()))
    assert [i["username"] for i in info["identity_set"]][0] == "dora@campus.example.edu"
    assert "alice@example.org" in [i["username"] for i in info["identity_set"]]
    alice = Visitor(house.url)
    assert info["sub"] in [i["sub"] for i in who_is(alice, alice.tokens("alice"))["identity_set"]]
    house.command("user", "link", "dora@campus.example.edu", "--alone")


def test_answers_of_others(house, provider):
    """A provider's answer works in the browser that asked for it, once."""
    victim, attacker = Visitor(house.url), Visitor(house.url)
    page = attacker.http.get(attacker.authorize_url(), timeout=20)
    link = html.unescape(re.search(r'<a class="button" href="([^"]*)">Sign in with Campus', page.text)[1])
    there = attacker.http.get(attacker.url + link, timeout=20)
    answer = attacker.http.post(there.url, data={"sub": "c-1"}, allow_redirects=False, timeout=20)
    back = answer.headers["Location"]
    assert "/v2/web/with/campus/back?" in back
    assert victim.http.get(back, timeout=20, allow_redirects=False).status_code == 400
    victim.http.get(victim.authorize_url(), timeout=20)  # has a cookie of its own now
    assert victim.http.get(back, timeout=20, allow_redirects=False).status_code == 400
    assert attacker.http.get(back, timeout=20, allow_redirects=False).status_code == 303
    assert attacker.http.get(back, timeout=20, allow_redirects=False).status_code == 400
    denied = attacker.http.get(attacker.url + link, timeout=20, allow_redirects=False).headers["Location"]
    state = urllib.parse.parse_qs(urllib.parse.urlsplit(denied).query)["state"][0]
    refused = attacker.http.get(f"{house.url}/v2/web/with/campus/back?error=access_denied&state={state}", timeout=20)
    assert refused.status_code == 403 and "did not sign you in" in refused.text
    assert Visitor(house.url).http.get(house.url + "/v2/web/with/nowhere", timeout=20).status_code == 404


def test_provider_away(prefix, folder):
    """One that does not answer costs its own sign-ins only."""
    (folder / "data").mkdir()
    (folder / "data" / "service.yaml").write_text(json.dumps({"auth": {"sources": [
        {"kind": "oidc", "name": "campus", "title": "Campus login", "issuer": f"http://127.0.0.1:{free_port()}",
         "client_id": "x", "domain": "x.org"}]}}))
    if reason := no_rabbit():
        pytest.skip(reason)
    with Service(prefix, folder) as running:
        visitor = Visitor(running.url)
        page = visitor.http.get(visitor.authorize_url(), timeout=20)
        assert 'name="password"' not in page.text and "Campus login" in page.text
        failed = visitor.http.get(running.url + "/v2/web/with/campus?next=/web/", timeout=60)
        assert failed.status_code == 502 and "did not work" in failed.text
