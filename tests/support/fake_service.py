"""Auth and Compute as a table of answers: for what the command line says when the service says X.

Listens on a free port as an HTTP proxy would be asked (absolute-form), so that both the original and
ours reach it with `http_proxy`.
"""

from __future__ import annotations

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SERVERS = {
    "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all": "funcx_service",
    "openid": "auth.globus.org",
    "urn:globus:auth:scope:auth.globus.org:manage_projects": "auth.globus.org",
}
ADA = "5f0c7b1e-5ad4-4e0d-9c55-7a1b64a1d0aa"
ADA_TOO = "5f0c7b1e-5ad4-4e0d-9c55-7a1b64a1d0bb"
IDENTITIES = {
    ADA: {"id": ADA, "username": "ada@example.org", "name": "Ada Lovelace", "email": "ada@example.org"},
    ADA_TOO: {"id": ADA_TOO, "username": "countess@analytical-engines.example.com", "name": None,
              "email": None},
}


def tokens(scope: str) -> dict:
    granted: dict[str, list[str]] = {}
    for word in dict.fromkeys(scope.split()):
        granted.setdefault(SERVERS[word], []).append(word)
    answers = [{"access_token": f"token-for-{server}", "expires_in": 172800, "token_type": "Bearer",
                "resource_server": server, "scope": " ".join(words), "other_tokens": []}
               for server, words in granted.items()]
    answers[0]["other_tokens"] = [{k: v for k, v in a.items() if k != "other_tokens"} for a in answers[1:]]
    return answers[0]


class FakeService:
    """`answers[(method, path)]` = (status, JSON); what is not in there is 404.  `seen` is the log."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.answers: dict[tuple[str, str], tuple[int, object]] = {}
        self.refuse_tokens = False
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                url = urllib.parse.urlsplit(self.path)
                fake.seen.append((self.command, url.path))
                status, answer = fake.answer(self.command, url, body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = _any

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, method: str, url: urllib.parse.SplitResult, body: str) -> tuple[int, object]:
        known = self.answers.get((method, url.path))
        if known:
            return known
        if url.path == "/v2/oauth2/token":
            if self.refuse_tokens:
                return 401, {"error": "invalid_client", "errors": [
                    {"status": "401", "code": "UNAUTHORIZED", "title": "no", "detail": "no such client"}]}
            return 200, tokens(urllib.parse.parse_qs(body)["scope"][0])
        if url.path == "/v2/oauth2/token/revoke":
            return 200, {"active": False}
        if url.path == "/v2/version":
            return 200, {"api": "1.57.0", "min_ep_version": "1.0.0", "min_sdk_version": "1.0.0"}
        if url.path == "/v2/oauth2/userinfo":
            return 200, {"sub": ADA, "identity_set": [{"sub": i} for i in IDENTITIES]}
        if url.path == "/v2/api/identities":
            ids = urllib.parse.parse_qs(url.query)["ids"][0].split(",")
            return 200, {"identities": [IDENTITIES[i] for i in ids]}
        return 404, {"status": "Failed", "reason": "not found", "code": 0, "http_status_code": 404}

    def __enter__(self) -> FakeService:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
