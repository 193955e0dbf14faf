"""People who don't mean well: forged forms, guessed passwords, other users' tokens, odd requests, slow clients."""

import socket
import threading
import time

import pytest
import requests

from support.signin import PASSWORD, Visitor


def test_forged_forms(site, visitor):
    """A form of another site has the cookies but not what belongs into the form."""
    page = visitor.http.get(visitor.authorize_url(), timeout=20)
    action, hidden = visitor.form(page)
    good = {"action": "sign-in", "username": "alice@example.org", "password": PASSWORD}
    for fields in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": hidden["csrf"][:-1]}):
        assert visitor.http.post(action, data={**good, **fields}, timeout=20).status_code == 403
    stranger = requests.post(action, data={**good, **hidden}, timeout=20)  # the form without its cookie
    assert stranger.status_code == 403
    other = Visitor(site.url)
    other.http.get(other.authorize_url(), timeout=20)
    assert other.http.post(action, data={**good, **hidden}, timeout=20).status_code == 403
    cross = visitor.http.post(action, data={**good, **hidden}, headers={"Sec-Fetch-Site": "cross-site"}, timeout=20)
    assert cross.status_code == 403
    done = visitor.http.post(action, data={**hidden, **good}, allow_redirects=False, timeout=20)
    assert done.status_code == 303
    # Signed in now: "continue" and "sign out" need the session's own value.
    for fields in ({}, hidden, {"csrf": "0" * 64}):
        assert visitor.http.post(action, data={**fields, "action": "continue"}, timeout=20).status_code == 403
        assert visitor.http.post(site.url + "/web/sign-out", data=fields, timeout=20).status_code == 403
    assert visitor.http.get(site.url + "/web/api/me", timeout=20).status_code == 200


def test_cookies(site, visitor):
    reply = visitor.sign_in("alice@example.org")
    for cookie in reply.headers["Set-Cookie"].split(", sallyport"):
        assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie
    session = visitor.http.cookies["sallyport_session"]
    for bad in (session[:-1], "W" + "x" * 43, "A" + session[1:], "", "x" * 10000, "%00"):
        reply = requests.get(site.url + "/web/api/me", cookies={"sallyport_session": bad}, timeout=20)
        assert reply.status_code in (400, 401, 431), bad[:40]
    # A session is no token, and a token no session.
    assert visitor.get("/v2/endpoints", session).status_code == 401
    token = Visitor(site.url).tokens("alice@example.org")["funcx_service"]["access_token"]
    reply = requests.get(site.url + "/web/api/me", cookies={"sallyport_session": token}, timeout=20)
    assert reply.status_code == 401


@pytest.mark.parametrize("next_page", ["//evil.example.org/", "https://evil.example.org/", "/\\evil.example.org",
                                       "javascript:alert(1)", "/\tevil", "evil", ""])
def test_sign_in_leads_nowhere_else(site, visitor, next_page):
    page = visitor.http.get(site.url + "/web/sign-in", params={"next": next_page}, timeout=20)
    reply = visitor.send(page, username="alice@example.org", password=PASSWORD)
    assert (reply.status_code, reply.headers["Location"]) == (303, "/web/")


def test_guessing(site):
    """Ten wrong tries of a name, then a pause that is told; others go on."""
    site.command("user", "add", "victim@example.org", "--password-stdin", stdin=PASSWORD + "\n")
    said = []
    for _ in range(12):
        reply = Visitor(site.url).sign_in("victim@example.org", "guess guess")
        said.append(reply.status_code)
    assert said[:10] == [403] * 10 and said[-1] == 429, said
    assert int(reply.headers["Retry-After"]) > 0 and "Too many tries" in reply.text
    assert Visitor(site.url).sign_in("bob@example.org").status_code == 303
    time.sleep(4.5)  # the address has its own limit, refilled every four seconds


def test_unknown_names_look_like_wrong_passwords(site):
    def took(name):
        begin = time.monotonic()
        reply = Visitor(site.url).sign_in(name, "guess guess")
        assert reply.status_code == 403 and "user name or the password is wrong" in reply.text
        return time.monotonic() - begin

    known, unknown = took("root@example.org"), took("nobody-knows@example.org")
    # The same work is done for both; a factor of five would need a machine that does other things.
    assert unknown > known / 5


def test_tokens_of_others(site):
    """Nobody revokes, refreshes or reads with what belongs to somebody else's client."""
    alice, thief = Visitor(site.url).tokens("alice@example.org"), site.client("thief")
    token = alice["funcx_service"]
    for path, form in (("/v2/oauth2/token/revoke", {"token": token["access_token"]}),
                       ("/v2/oauth2/token/revoke", {"token": token["refresh_token"]}),
                       ("/v2/oauth2/token", {"grant_type": "refresh_token", "refresh_token": token["refresh_token"]})):
        requests.post(site.url + path, data=form, auth=thief, timeout=20)
    assert Visitor(site.url).get("/v2/endpoints", token["access_token"]).status_code == 200


def raw(site, request: bytes) -> bytes:
    """The head of the answer; empty when the service hung up, or waits for the rest of the request."""
    got = b""
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as s:
        try:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
            while b"\r\n\r\n" not in got and (more := s.recv(4096)):
                got += more
        except OSError:  # reset, not connected any more, or slow
            pass
    return got


@pytest.mark.parametrize("head", [
    b"Authorization: Bearer", b"Authorization: Bearer  ", b"Authorization: bearer\tx", b"Authorization: Basic",
    b"Authorization: Basic !!!!", b"Authorization: Basic Og==", b"Authorization: Basic " + b"A" * 9000,
    b"Authorization: Digest x", b"Authorization: \x80\xff", b"Cookie: sallyport_session", b"Cookie: ;;=;=",
    b"Cookie: " + b"a=b; " * 2000, b"Host: evil.example.org\r\nHost: other", b"Transfer-Encoding: chunked",
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: -1", b"X: " + b"y" * 60000,
])
def test_odd_headers(site, head):
    """Any answer but a failure of ours, and the service lives on."""
    for line in (b"POST /v2/oauth2/token", b"GET /v2/oauth2/userinfo", b"GET /web/api/me"):
        got = raw(site, line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" + head + b"\r\n\r\n")
        assert not got or 400 <= int(got.split(b" ", 2)[1]) < 500, got[:200]
    assert requests.get(site.url + "/v2/version", timeout=20).status_code == 200


@pytest.mark.parametrize("body", [
    b"", b"&&&&", b"=", b"grant_type", b"grant_type=%", b"grant_type=%zz", b"grant_type=client_credentials&scope=%00",
    b"a=b&" * 5000, b"grant_type=" + b"x" * 60000, b"\x00\xff\xfe", b"{\"grant_type\": \"client_credentials\"}",
    b"grant_type=client_credentials&grant_type=password", b"x" * 70000,
])
def test_odd_forms(site, body):
    for path in ("/v2/oauth2/token", "/v2/oauth2/token/revoke", "/v2/oauth2/token/introspect", "/web/sign-in"):
        reply = requests.post(site.url + path, data=body, timeout=20, allow_redirects=False,
                              headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert 400 <= reply.status_code < 500, (path, reply.status_code)


def test_names_in_the_host_header(site):
    """Links are made for who asked; a foreign name never gets into anybody else's page."""
    reply = requests.get(site.url + "/.well-known/openid-configuration", timeout=20,
                         headers={"Host": "evil.example.org\"><x"})
    assert "evil" not in reply.text or reply.status_code == 400


def test_slow_clients(site):
    """Fifty that send a byte now and then; everybody else is served at once."""
    ends = threading.Event()
    sockets = []
    for _ in range(50):
        s = socket.create_connection(("127.0.0.1", site.port), timeout=20)
        s.sendall(b"POST /v2/oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\ngrant")
        sockets.append(s)

    def drip():
        while not ends.wait(0.5):
            for s in sockets:
                try:
                    s.send(b"x")
                except OSError:
                    pass

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        assert Visitor(site.url).sign_in("bob@example.org").status_code == 303
        for _ in range(20):
            assert requests.get(site.url + "/v2/version", timeout=5).status_code == 200
    finally:
        ends.set()
        thread.join()
        for s in sockets:
            s.close()


def test_junk_tokens(site):
    """Thousands of tokens that nobody gave: refused, and remembered within bounds."""
    with requests.Session() as http:
        http.trust_env = False
        for i in range(3000):
            reply = http.get(site.url + "/v2/endpoints", headers={"Authorization": f"Bearer A{i:043d}"}, timeout=20)
            assert reply.status_code == 401
    assert Visitor(site.url).tokens("bob@example.org")


def test_secrets_stay_out_of_the_log(site):
    visitor = Visitor(site.url)
    tokens = visitor.tokens("bob@example.org")
    visitor.get("/v2/endpoints", tokens["funcx_service"]["access_token"])
    client, secret = site.client("silent")
    requests.post(site.url + "/v2/oauth2/token", auth=(client, secret), timeout=20,
                  data={"grant_type": "client_credentials", "scope": "openid"})
    log = site.output()
    for word in (PASSWORD, secret, tokens["funcx_service"]["access_token"], tokens["funcx_service"]["refresh_token"],
                 visitor.http.cookies["sallyport_session"], visitor.verifier):
        assert word not in log
