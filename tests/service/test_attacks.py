"""What a careless or hostile client may send to the interface: junk in numbers, odd targets, other sites' pages,
doubled headers.  The service answers or hangs up, keeps its size, and goes on serving."""

import pathlib
import random
import re
import socket
import threading

import pytest
import requests

JUNK = 100_000


def address(service):
    host, port = service.url[7:].split(":")
    return host, int(port)


def raw(service, request, timeout=10):
    """All that comes back until the service hangs up or says nothing more."""
    got = b""
    with socket.create_connection(address(service), timeout=timeout) as s:
        try:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
            while more := s.recv(65536):
                got += more
        except OSError:
            pass
    return got


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None


def resident_kib(service):
    text = pathlib.Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1])


def test_a_hundred_thousand_junk_requests(service):
    """Well-formed enough to be answered, nonsense otherwise; from four connections at once."""
    random.seed(7)
    service.get("/v2/version", user=None)
    before = resident_kib(service)
    words = ["/v2/tasks/", "/v3/endpoints/", "/", "//", "/v2/functions/%2e%2e/", "/web/../", "/v2/endpoints?role=", "*"]
    heads = ["Authorization: Bearer A%043d", "Authorization: Basic %x", "Cookie: sallyport_session=%d", "X-%x: y",
             "If-None-Match: \"%d\"", "Accept: %d/%d"]
    answered, failures = [], []

    def fire(n):
        left = n
        while left:
            try:
                with socket.create_connection(address(service), timeout=30) as s:
                    reader = s.makefile("rb")
                    while left:
                        batch = min(50, left)
                        text = "".join(
                            f"{random.choice(('GET', 'HEAD', 'DELETE', 'PUT', 'BREW'))} "
                            f"{random.choice(words)}{random.getrandbits(64):x} HTTP/1.1\r\nHost: x\r\n"
                            + random.choice(heads).replace("%043d", f"{random.getrandbits(60):043d}")
                            + "\r\nContent-Length: 0\r\n\r\n" for _ in range(batch))
                        left -= batch
                        s.sendall(text.encode())
                        s.settimeout(0.02)
                        try:
                            while more := reader.read1(1 << 20):
                                answered.append(more.count(b"HTTP/1.1 "))
                                failures.append(more.count(b"HTTP/1.1 5"))
                        except TimeoutError:
                            pass
                        s.settimeout(30)
            except OSError:
                continue

    threads = [threading.Thread(target=fire, args=(JUNK // 4,)) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sum(answered) > JUNK // 10 and sum(failures) == 0, (sum(answered), sum(failures))
    assert service.get("/v2/version", user=None).status_code == 200
    assert service.get("/v2/endpoints").status_code == 200
    assert resident_kib(service) - before < 64 << 10, "it has grown"


@pytest.mark.parametrize("target, wanted", [
    ("http://compute.api.globus.org/v2/version", {200}),
    ("https://compute.api.globus.org/v2/version", {200}),
    ("http://evil.example.org:1/v2/version", {200}),  # answered here, whoever is named: nothing is fetched for anybody
    ("http://user:secret@evil.example.org/v2/version", {200, 400}),
    ("http://169.254.169.254/latest/meta-data/", {404}),
    ("http://127.0.0.1:1/healthz", {200}),
    ("http:///v2/version", {200, 400}),
    ("http://[::1/v2/version", {200, 400}),
    ("ftp://x/v2/version", {400, 404}),
    ("file:///etc/passwd", {400, 404}),
    ("http://x", {400, 404, 302, 303}),
    ("//etc/passwd", {400, 404}),
    ("/v2/endpoints/..%2f..%2fmetrics", {400, 401, 404}),
    ("/v2/tasks/%00", {400, 401, 404}),
    ("/v2//version", {200}),  # one slash is as good as two
    ("/v2/version/", {200}),
    ("/V2/version", {404}),
    ("/v2/version;x=y", {404}),
    ("/./v2/version", {400, 404}),
    ("*", {400, 404, 405}),
])
def test_targets(service, target, wanted):
    """W50: the absolute form is understood, and is no way to anywhere else."""
    answer = raw(service, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert status(answer) in wanted, answer[:300]
    assert b"root:" not in answer


@pytest.mark.parametrize("head", [
    b"Content-Length: 2\r\nContent-Length: 4", b"Content-Length: 2\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"Content-Length: +2", b"Content-Length: 2, 2",
    b"Content-Length: 99999999999999999999", b"Content-Length : 2", b" Content-Length: 2"])
def test_lengths_that_two_readers_could_read_differently(service, head):
    """No request hides in another's body: at most one answer, and none to the hidden one."""
    hidden = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    request = (b"POST /v3/functions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer test-alice\r\n" + head + b"\r\n\r\n{}"
               + hidden)
    answer = raw(service, request, 5)
    first = status(answer)
    assert first is None or 400 <= first < 500, answer[:300]
    assert service.get("/v2/version", user=None).status_code == 200


def test_odd_authorization(service):
    for head in ("Authorization: Bearer", "Authorization: bearer", "Authorization: Basic dGVzdA==",
                 "Authorization: Bearertest-alice", "Authorization:\x00Bearer test-alice",
                 "Proxy-Authorization: Bearer test-alice", "X-Authorization: Bearer test-alice",
                 "Cookie: Authorization=Bearer%20test-alice"):
        answer = raw(service, f"GET /v2/endpoints HTTP/1.1\r\nHost: x\r\n{head}\r\nConnection: close\r\n\r\n".encode())
        assert status(answer) in (400, 401), (head, answer[:200])


def test_pages_of_other_sites_learn_nothing(service):
    """A browser asks first (preflight); without these headers it keeps every answer from the page that asked."""
    for method, path in (("POST", "/v3/functions"), ("GET", "/v2/endpoints"), ("DELETE", "/v2/endpoints/x"),
                         ("POST", "/v2/oauth2/token"), ("GET", "/web/api/me"), ("GET", "/metrics")):
        headers = {"Origin": "https://evil.example.org", "Access-Control-Request-Method": method,
                   "Access-Control-Request-Headers": "authorization,content-type"}
        asked = requests.options(service.url + path, headers=headers, timeout=20)
        assert asked.status_code in (401, 404, 405), (path, asked.status_code)
        done = requests.request(method, service.url + path, timeout=20,
                                headers={"Origin": "https://evil.example.org", "Authorization": "Bearer test-alice"})
        for answer in (asked, done):
            assert not [h for h in answer.headers if h.lower().startswith("access-control-")], path


def test_a_proxy_is_believed_only_where_there_is_one(service):
    """X-Forwarded-* of anybody changes no address and no scheme."""
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example.org",
              "Forwarded": "for=203.0.113.9;host=evil.example.org"}
    answer = requests.get(service.url + "/v2/version", headers=forged, timeout=20, allow_redirects=False)
    assert answer.status_code == 200 and "evil" not in str(answer.headers) + answer.text
    assert "203.0.113.9" not in service.text_of_log()


def test_slow_clients_do_not_take_all_places(service):
    """Two hundred that send a byte and wait: everybody else is served at once."""
    slow = [socket.create_connection(address(service)) for _ in range(200)]
    for i, s in enumerate(slow):
        s.sendall((b"G", b"POST /v3/functions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")[i % 2])
    for _ in range(20):
        assert service.get("/v2/version", user=None).status_code == 200
    assert service.function()
    for s in slow:
        s.close()
