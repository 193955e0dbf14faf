"""X-Forwarded headers: those of the listed proxies are believed, for addresses, limits and links; nobody else's."""

import re
import socket
import subprocess

import pytest
import requests
from requests.adapters import HTTPAdapter

from support.process import free_port
from support.rabbit import why_not as no_rabbit
from support.signin import Visitor
from support.stack import BASE_ENVIRONMENT, Service

PROXY, OUTER, STRANGER = "127.0.0.2", "127.0.0.3", "127.0.0.4"


class From(HTTPAdapter):
    """Connections from one of the addresses of this host."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, source_address=(self.address, 0), **kwargs)


def session(address, **headers):
    s = requests.Session()
    s.trust_env = False
    s.mount("http://", From(address))
    s.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return s


@pytest.fixture(scope="module")
def site(prefix, session_folder):
    if reason := no_rabbit():
        pytest.skip(reason)
    folder = session_folder / "proxies"
    folder.mkdir(mode=0o711)
    (folder / "data").mkdir(mode=0o711)
    (folder / "data" / "service.yaml").write_text(f"proxies: [{PROXY}, {OUTER}]\n")
    with Service(prefix, folder) as running:
        yield running


def attempt(site, sender, forwarded):
    """A wrong password; the answer's code, and the address that the log has."""
    visitor = Visitor(site.url)
    visitor.http = session(sender)
    page = visitor.http.get(visitor.authorize_url(), timeout=20)
    if forwarded is not None:
        visitor.http.headers["X-Forwarded-For"] = forwarded
    begin = len(site.output())
    code = visitor.send(page, action="sign-in", username="nobody@example.org", password="guess guess").status_code
    return code, re.findall(r"event=sign-in-refused .* peer=(.*) status=", site.output()[begin:])


@pytest.mark.parametrize("sender, forwarded, peer", [
    (PROXY, "203.0.113.9", "203.0.113.9"),
    (PROXY, "203.0.113.9:4711", "203.0.113.9"),
    (PROXY, "[2001:DB8::1]:4711", "2001:db8::1"),
    (PROXY, "::ffff:203.0.113.9", "203.0.113.9"),
    (PROXY, None, PROXY),
    # Chains: what the client itself wrote is in front.
    (PROXY, "10.9.9.9, 203.0.113.9", "203.0.113.9"),
    (PROXY, f"10.9.9.9, 203.0.113.9 ,\t{OUTER}", "203.0.113.9"),
    (PROXY, OUTER, OUTER),
    # Garbage: as far as it can be believed.
    (PROXY, "unknown", PROXY),
    (PROXY, "", PROXY),
    (PROXY, "203.0.113.9,", PROXY),
    (PROXY, "x\" peer=10.9.9.9", PROXY),
    (PROXY, "203.0.113.9:port", PROXY),
    (PROXY, "203.0.113.999", PROXY),
    (PROXY, "[2001:db8::1", PROXY),
    (PROXY, f"10.9.9.9, _hidden, {OUTER}", OUTER),
    (PROXY, "1" * 3000, PROXY),
    # Others say what they like; without behind_proxy this host is one of them.
    (STRANGER, "203.0.113.9", STRANGER),
    ("127.0.0.1", "203.0.113.9", "127.0.0.1"),
])
def test_whom_a_request_is_from(site, sender, forwarded, peer):
    assert attempt(site, sender, forwarded)[1] == [peer]


def test_two_lines_are_one_list(site):
    """A proxy may add a line of its own behind the client's."""
    begin = len(site.output())
    with socket.create_connection(("127.0.0.1", site.port), source_address=(PROXY, 0)) as s:
        s.settimeout(20)
        s.sendall(b"GET /web/sign-in HTTP/1.1\r\nHost: x\r\n\r\n")
        page = b""
        while b"</form>" not in page:
            page += s.recv(65536)
        cookie = re.search(rb"[Ss]et-[Cc]ookie: ([^;]*)", page)[1]
        csrf = re.search(rb'name="csrf" value="([^"]*)"', page)[1]
        body = b"csrf=%s&action=sign-in&username=nobody&password=guess" % csrf
        s.sendall(b"POST /web/sign-in HTTP/1.1\r\nHost: x\r\nCookie: %s\r\nX-Forwarded-For: 10.9.9.9\r\n"
                  b"X-Forwarded-For: 203.0.113.10\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                  b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (cookie, len(body), body))
        while s.recv(65536):
            pass
    assert re.findall(r"event=sign-in-refused .* peer=(.*) status=", site.output()[begin:]) == ["203.0.113.10"]


def test_limits_are_per_client(site):
    """One that guesses behind the proxy shuts itself out, and nobody else there."""
    codes = [attempt(site, PROXY, "198.51.100.1, 203.0.113.20")[0] for _ in range(12)]
    assert codes[-1] == 429  # of the name
    for i in range(60):
        visitor = Visitor(site.url)
        visitor.http = session(PROXY, X_Forwarded_For=f"198.51.100.{i}, 203.0.113.20")
        page = visitor.http.get(visitor.authorize_url(), timeout=20)
        reply = visitor.send(page, action="sign-in", username=f"nobody-{i}", password="guess guess")
        if reply.status_code == 429:
            break
    assert reply.status_code == 429, "what stands before the client's own address was believed"
    visitor.http.headers["X-Forwarded-For"] = "203.0.113.21"
    assert visitor.send(page, action="sign-in", username="somebody", password="guess guess").status_code == 403


@pytest.mark.parametrize("sender, proto, scheme", [
    (PROXY, "https", "https"), (PROXY, "HTTPS", "https"), (PROXY, "http", "http"), (PROXY, None, "http"),
    (PROXY, "http, https", "https"), (PROXY, "https, http", "http"),
    (PROXY, "javascript", "http"), (PROXY, "https://evil.example.org/", "http"), (PROXY, "", "http"),
    (STRANGER, "https", "http"), ("127.0.0.1", "https", "http"),
])
def test_links_and_cookies(site, sender, proto, scheme):
    headers = {"X-Forwarded-Proto": proto} if proto is not None else {}
    s = session(sender, Host="compute.example.org")
    links = s.get(site.url + "/.well-known/openid-configuration", headers=headers, timeout=20).json()
    assert links["token_endpoint"] == f"{scheme}://compute.example.org/v2/oauth2/token"
    page = s.get(site.url + "/web/sign-in", headers=headers, timeout=20)
    assert ("; Secure" in page.headers["Set-Cookie"]) == (scheme == "https")


@pytest.mark.parametrize("setting, said", [
    ("proxies: [proxy.example.org]", "proxies: proxy.example.org is not an IP address"),
    ("proxies: [192.0.2.0/24]", "proxies: 192.0.2.0/24 is not an IP address"),
    ("proxies: [1, 2]", "proxies: 1 is not an IP address"),
    (f"proxies: [{', '.join(f'192.0.2.{i}' for i in range(9))}]", "proxies has 9 addresses; it may have 8"),
    (f"listen: [{', '.join(f'127.0.0.{i}:0' for i in range(1, 10))}]", "listen has 9 addresses; it may have 8"),
])
def test_what_is_no_address_is_refused(prefix, tmp_path, setting, said):
    (tmp_path / "service.yaml").write_text(setting + "\n")
    done = subprocess.run([prefix / "bin" / "sallyport", "serve", "--data", tmp_path, "--port", str(free_port())],
                          capture_output=True, text=True, timeout=30, env=BASE_ENVIRONMENT)
    assert done.returncode == 78 and said in done.stderr, done.stderr
