"""The corners of HTTP that clients, proxies and hand-written programs use: versions, connections that stay, bodies that
come in pieces or are too large, methods nobody has, bodies that are no JSON.  Every refusal has the error body that the
SDK reads, and the connection goes on or ends in order."""

import gzip
import json
import pathlib
import re
import socket

import pytest
from service_rig import wait_until

BATCH_LIMIT = 1 << 20  # of POST /v2/batch_status
HEAD = "{} {} HTTP/1.{}\r\nHost: x\r\nAuthorization: Bearer test-alice\r\n{}\r\n"
NAMES = {"code", "message", "request_id"}


class Answer:
    def __init__(self, status, version, headers, body):
        self.status, self.version, self.headers, self.body = status, version, headers, body

    def error(self):
        document = json.loads(self.body.decode())
        assert NAMES <= set(document), document
        assert self.headers["content-type"] == "application/json"
        return document


class Line:
    """One connection, read answer by answer."""

    def __init__(self, service, receive=None):
        host, port = service.url[7:].split(":")
        self.socket = socket.socket()
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(60)
        self.socket.connect((host, int(port)))
        self.reader = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.close()
        self.socket.close()

    def send(self, method, path, body=b"", minor=1, **headers):
        if body and "Transfer_Encoding" not in headers:
            headers.setdefault("Content_Length", len(body))
        text = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
        self.socket.sendall(HEAD.format(method, path, minor, text).encode() + body)
        return self

    def answer(self, method="GET"):
        first = self.reader.readline().decode().split(" ", 2)
        assert first[0].startswith("HTTP/1."), first
        headers = {}
        while line := self.reader.readline().strip().decode():
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        status = int(first[1])
        n = 0 if method == "HEAD" or status < 200 else int(headers["content-length"])
        body = self.reader.read(n)
        assert len(body) == n
        return Answer(status, first[0], headers, body)

    def is_open(self):
        return self.send("GET", "/v2/version").answer().status == 200

    def is_closed(self):
        try:
            return self.reader.read(1) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def line(service):
    with Line(service) as line:
        yield line


def padded(n):
    return b'{"task_ids": []}'.ljust(n)


def function_body(**fields):
    return {"function_name": "f", "function_code": "19\nst\nf:def f(): pass\n", "serialized": True, "meta": {}, **fields}


def test_one_request_a_connection_in_the_old_version(line):
    answer = line.send("GET", "/v2/version", minor=0).answer()
    assert answer.status == 200 and json.loads(answer.body)
    assert line.is_closed()


def test_the_old_version_may_keep_its_connection(line):
    for _ in range(3):
        answer = line.send("GET", "/v2/version", minor=0, Connection="Keep-Alive").answer()
        assert answer.status == 200 and answer.headers["connection"].lower() == "keep-alive"


def test_a_connection_serves_many_and_ends_when_asked(line):
    for _ in range(300):
        assert line.send("GET", "/v2/version").answer().status == 200
    answer = line.send("GET", "/v2/version", Connection="close").answer()
    assert answer.status == 200 and answer.headers["connection"].lower() == "close"
    assert line.is_closed()


def test_pipelined_requests_are_answered_in_order(line):
    """Those that wait for the ledger don't fall behind those that need nothing."""
    paths = ["/v2/version", "/v2/endpoints", "/v2/nothing", "/v2/endpoints?role=owner", "/healthz", "/v2/tasks/x"] * 20
    for i, path in enumerate(paths):
        line.send("GET", path, X_Number=i)
    answers = [line.answer() for _ in paths]
    assert {a.status for a in answers[2::6]} == {404} and {a.status for a in answers[::6]} == {200}
    assert all("/v2/nothing" in a.error()["message"] for a in answers[2::6])
    for nth in (1, 3):
        assert all(a.status == 200 and isinstance(json.loads(a.body), list) for a in answers[nth::6])
    assert all(400 <= a.status < 500 and a.error() for a in answers[5::6])


def test_a_body_behind_a_question(line):
    """Expect: 100-continue."""
    body = json.dumps(function_body()).encode()
    line.send("POST", "/v3/functions", Expect="100-continue", Content_Length=len(body))
    assert line.answer().status == 100
    line.socket.sendall(body)
    assert line.answer().status == 200
    assert line.is_open()


@pytest.mark.parametrize("method, path, length, wanted", [
    ("POST", "/v2/batch_status", BATCH_LIMIT + 1, 413),
    ("POST", "/v2/nothing", 100, 404),
    ("PUT", "/v2/version", 100, 405),
])
def test_a_body_that_nobody_wants_need_not_be_sent(line, method, path, length, wanted):
    line.send(method, path, Expect="100-continue", Content_Length=length)
    answer = line.answer()
    assert answer.status == wanted and answer.error()
    assert line.is_closed()


def chunked(body, size):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 100000])
def test_bodies_in_chunks(line, size):
    body = json.dumps(function_body(description="é" * 50)).encode()
    answer = line.send("POST", "/v3/functions", chunked(body, size), Transfer_Encoding="chunked").answer()
    assert answer.status == 200 and json.loads(answer.body)["function_uuid"]
    assert line.is_open()


def test_chunks_that_are_none(line):
    answer = line.send("POST", "/v3/functions", b"zz\r\n{}\r\n0\r\n\r\n", Transfer_Encoding="chunked")
    try:
        assert answer.answer().status == 400
    except (AssertionError, ConnectionResetError):
        assert line.is_closed()


@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("over", [0, 1])
def test_a_body_at_the_limit(line, in_chunks, over):
    """One byte too many is read and thrown away: the client gets its answer and keeps its connection."""
    body = padded(BATCH_LIMIT + over)
    if in_chunks:
        line.send("POST", "/v2/batch_status", chunked(body, 60000), Transfer_Encoding="chunked")
    else:
        line.send("POST", "/v2/batch_status", body)
    answer = line.answer()
    if over:
        assert answer.status == 413 and str(BATCH_LIMIT) in answer.error()["message"]
    else:
        assert answer.status not in (413, 500), answer.body
    assert line.is_open()


def test_a_body_far_too_large_to_be_thrown_away(line):
    answer = line.send("POST", "/v2/batch_status", Content_Length=1 << 40).answer()
    assert answer.status == 413 and answer.error()
    assert line.is_closed()


def resident(service):
    text = pathlib.Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) << 10


def test_slow_readers_of_a_large_answer(service):
    """Each holds the answer it asked for and no more, others are served, and what they held serves the next."""
    size, readers = 4_000_000, 20
    function = service.function(code="19\nst\nf:" + "x" * size)
    path = f"/v2/functions/{function}"
    assert len(service.get(path).content) > size
    before = resident(service)
    for _ in range(4):
        lines = [Line(service, receive=4096).send("GET", path) for _ in range(readers)]
        wait_until(lambda: resident(service) - before > readers * size // 2)
        for _ in range(20):
            assert service.get("/v2/version", user=None).status_code == 200
        assert resident(service) - before < readers * size * 3
        assert len(lines[0].answer().body) > size  # slow is not too slow
        for line in lines:
            line.__exit__()


@pytest.mark.parametrize("path", ["/v2/version", "/v2/endpoints", "/openapi.yaml", "/v2/nothing", "/healthz"])
def test_head_is_get_without_a_body(line, path):
    whole = line.send("GET", path).answer()
    head = line.send("HEAD", path).answer("HEAD")
    assert head.status == whole.status
    assert head.headers["content-type"] == whole.headers["content-type"]
    if path != "/v2/nothing":  # its sentence names the method
        assert int(head.headers["content-length"]) == len(whole.body)
    assert line.is_open()


@pytest.mark.parametrize("path, allowed", [
    ("/v2/version", {"GET", "HEAD"}), ("/v2/batch_status", {"POST"}), ("/v3/functions", {"POST"}),
    ("/v2/endpoints", {"GET", "HEAD", "POST"}), ("/v2/functions/abc", {"GET", "HEAD", "DELETE"}),
])
@pytest.mark.parametrize("method", ["OPTIONS", "BREW", "PATCH", "get", "TRACE"])
def test_methods_that_a_path_does_not_have(line, path, allowed, method):
    answer = line.send(method, path).answer()
    assert answer.status == 405, answer.body
    said = set(answer.headers["allow"].split(", "))
    assert said == allowed
    assert method in answer.error()["message"] and answer.error()["code"] == "METHOD_NOT_ALLOWED"
    assert line.is_open()


@pytest.mark.parametrize("path", ["/v2/nothing", "/", "/v9/functions", "/v2/functions/a/b/c", "/v2/caf\u00e9", "/v2/%ff%fe"])
def test_nothing_there(line, path):
    answer = line.send("GET", path + "?x=y").answer()
    if path == "/":
        assert answer.status in (200, 302, 303, 404)
        return
    assert answer.status == 404
    assert answer.error()["code"] == "NOT_FOUND" and "nothing at GET" in answer.error()["message"]


def test_a_path_forges_no_line_of_the_log(service, line):
    assert line.send("GET", "/v2/%0Aforged%0D%1b%5b31m%ff").answer().status == 404
    text = service.text_of_log()  # all of it can be read
    assert "GET /v2/?forged??[31m? status=404" in text and "\x1b[31m" not in text


def test_the_sdk_reads_our_refusals(client):
    import globus_sdk
    with pytest.raises(globus_sdk.GlobusAPIError) as caught:
        client()._compute_web_client.v2.get("/v2/nothing-here")
    assert caught.value.http_status == 404 and caught.value.code == "NOT_FOUND"
    assert "nothing-here" in caught.value.message


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "application/json; charset=latin-1",
                                  "application/x-www-form-urlencoded", "", "nonsense"])
def test_the_body_counts_and_not_its_name(line, kind):
    body = json.dumps(function_body()).encode()
    assert line.send("POST", "/v3/functions", body, Content_Type=kind).answer().status == 200
    answer = line.send("POST", "/v3/functions", b"function_name=f&function_code=x", Content_Type=kind).answer()
    assert answer.status == 400 and "not JSON" in answer.error()["message"]


@pytest.mark.parametrize("body, words", [
    (b'{"function_name": "\xff\xfe", "function_code": "x"}', "not JSON"),
    (b'{"function_name": "\xed\xa0\x80", "function_code": "x"}', "not JSON"),  # half a character
    (b'{"function_name": "\xc0\x80", "function_code": "x"}', "not JSON"),
    (b'{"a": ' + b"[" * 10000 + b"]" * 10000 + b"}", "not JSON"),
    (b'{"a":' * 10000 + b"1" + b"}" * 10000, "not JSON"),
    (b"[" * 10000, "not JSON"),
    (b'{"function_name": "f", "function_code": "x"} garbage', "not JSON"),
    (b'{"function_name": "f", "function_code": "x"}{}', "not JSON"),
    (b'{"function_name": "f", "function_code": "x"}]', "not JSON"),
    (b'{"function_name": "f",', "not JSON"), (b"", "not JSON"), (b"\x00", "not JSON"), (b"null", "null"),
    (b"[]", "a list"), (b'"text"', "a string"), (b"7", "a number"), (b"NaN", "a number"),
    (b'{"function_name": 7, "function_code": "x"}', "function_name"),
    (b'{"function_name": 1e999, "function_code": "x"}', "function_name"),
])
def test_bodies_that_are_refused(line, body, words):
    answer = line.send("POST", "/v3/functions", body, Content_Length=len(body)).answer()
    assert 400 <= answer.status < 500 and words in answer.error()["message"], answer.body
    assert line.is_open()


def test_of_two_equal_keys_the_last_counts(service):
    text = json.dumps(function_body())[:-1] + ', "function_name": "last"}'
    function = service.http("alice", "POST", "/v3/functions", data=text).json()["function_uuid"]
    assert service.get(f"/v2/functions/{function}").json()["function_name"] == "last"


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e999", "-1e999", "0." + "3" * 1000, "1e-999",
                                    "9223372036854775808", "18446744073709551616"])
def test_huge_numbers(service, number):
    text = json.dumps(function_body())[:-1] + ', "meta": {"x": %s}}' % number
    answer = service.http("alice", "POST", "/v3/functions", data=text)
    assert answer.status_code in (200, 400, 422), answer.text
    if answer.status_code == 200:  # then it can be read again
        assert service.get(f"/v2/functions/{answer.json()['function_uuid']}").status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, identity"])
def test_packed_bodies_are_refused_in_words(line, coding):
    body = gzip.compress(json.dumps(function_body()).encode())
    answer = line.send("POST", "/v3/functions", body, Content_Encoding=coding).answer()
    assert answer.status == 415 and coding in answer.error()["message"]
    assert answer.headers["accept-encoding"] == "identity"
    answer = line.send("POST", "/v3/functions", json.dumps(function_body()).encode(), Content_Encoding="identity").answer()
    assert answer.status == 200


def test_three_hundred_that_only_wait(service):
    lines = [Line(service) for _ in range(300)]
    for line in lines[::2]:
        assert line.is_open()
    for _ in range(20):
        assert service.get("/v2/version", user=None).status_code == 200
    assert all(line.is_open() for line in lines)
    count = re.search(r"^sallyport_connections (\d+)", service.get("/metrics", user=None).text, re.M)
    assert int(count[1]) >= 300
    for line in lines:
        line.__exit__()
    assert service.get("/v2/version", user=None).status_code == 200
