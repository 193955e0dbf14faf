"""Signing in without a browser: the forms that a browser would send, and the terminal of a `login`."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import html
import os
import pty
import re
import secrets
import select
import struct
import subprocess
import termios
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import requests

NATIVE = "4cf29807-cf21-49ec-9443-ff9a3fb9f81c"
COMPUTE = "https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"
PROJECTS = "urn:globus:auth:scope:auth.globus.org:manage_projects"
PASSWORD = "correct horse battery"


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class Visitor:
    """One browser profile (cookies) at the service's pages."""

    def __init__(self, url: str):
        self.url = url
        self.http = requests.Session()
        self.http.trust_env = False
        self.verifier = secrets.token_urlsafe(32)

    def authorize_url(self, **changes: str | None) -> str:
        query = {"client_id": NATIVE, "redirect_uri": f"{self.url}/v2/web/auth-code",
                 "scope": f"openid {COMPUTE} {PROJECTS}", "state": "_default", "response_type": "code",
                 "access_type": "offline", "code_challenge": challenge_of(self.verifier),
                 "code_challenge_method": "S256", "prefill_named_grant": "here on here", **changes}
        return (f"{self.url}/v2/oauth2/authorize?"
                + urllib.parse.urlencode({k: v for k, v in query.items() if v is not None}))

    def form(self, page: requests.Response) -> tuple[str, dict[str, str]]:
        """Address and hidden fields of the page's first form."""
        action = html.unescape(re.search(r'<form method="post" action="([^"]*)"', page.text)[1])
        fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text)
        return urllib.parse.urljoin(page.url, action), dict(reversed(fields))

    def send(self, page: requests.Response, **fields: str) -> requests.Response:
        action, hidden = self.form(page)
        return self.http.post(action, data={**hidden, **fields}, allow_redirects=False, timeout=20)

    def sign_in(self, username: str, password: str = PASSWORD, **changes: str | None) -> requests.Response:
        page = self.http.get(self.authorize_url(**changes), timeout=20)
        assert page.status_code == 200, page.text
        return self.send(page, action="sign-in", username=username, password=password)

    def code(self, username: str, password: str = PASSWORD, **changes: str | None) -> str:
        reply = self.sign_in(username, password, **changes)
        assert reply.status_code == 303, reply.text
        return code_of(reply)

    def token(self, **form: str) -> requests.Response:
        return self.http.post(f"{self.url}/v2/oauth2/token", data=form, timeout=20)

    def redeem(self, code: str, **changes: str) -> requests.Response:
        return self.token(**{"client_id": NATIVE, "grant_type": "authorization_code", "code": code,
                             "code_verifier": self.verifier, "redirect_uri": f"{self.url}/v2/web/auth-code",
                             **changes})

    def tokens(self, username: str, **changes: str | None) -> dict[str, dict[str, Any]]:
        """By resource server, after a whole sign-in."""
        reply = self.redeem(self.code(username, **changes))
        assert reply.status_code == 200, reply.text
        return by_server(reply.json())

    def get(self, path: str, token: str) -> requests.Response:
        return self.http.get(self.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=20)


def code_of(reply: requests.Response) -> str:
    return urllib.parse.parse_qs(urllib.parse.urlsplit(reply.headers["Location"]).query)["code"][0]


def by_server(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["resource_server"]: one for one in [body, *body["other_tokens"]]}


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]):
        self._fd, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 4000, 0, 0))
        self._process = subprocess.Popen(argv, stdin=other, stdout=other, stderr=other, env=dict(environment),
                                         start_new_session=True, preexec_fn=self._take_terminal)
        os.close(other)
        self.out = ""

    @staticmethod
    def _take_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that /dev/tty is this one

    def until(self, text: str, seconds: float = 60) -> str:
        """Everything up to and with `text`."""
        end = time.monotonic() + seconds
        while text not in self.out:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {text!r} in time:\n{self.out}"
            try:
                more = os.read(self._fd, 4096)
            except OSError:
                more = b""
            assert more, f"it ended without {text!r}:\n{self.out}"
            self.out += more.decode(errors="replace")
        return self.out

    def type(self, line: str) -> None:
        os.write(self._fd, (line + "\n").encode())

    def end(self, seconds: float = 60) -> int:
        """Waits; the exit status."""
        end = time.monotonic() + seconds
        while self._process.poll() is None or select.select([self._fd], [], [], 0)[0]:
            assert time.monotonic() < end, f"it does not end:\n{self.out}"
            if select.select([self._fd], [], [], 0.1)[0]:
                try:
                    self.out += os.read(self._fd, 4096).decode(errors="replace")
                except OSError:
                    break
        os.close(self._fd)
        return self._process.wait(10)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def login_url(text: str) -> str:
    return re.search(r"https?://\S+/authorize\?\S+", text)[0]


def log_in(argv: Sequence[str], environment: Mapping[str, str], code_for: Callable[[str], str]) -> tuple[int, str]:
    """`... login` on a terminal; code_for(url) signs in and gives the code.  Exit status and output."""
    terminal = Terminal(argv, environment)
    try:
        terminal.until("Authorization Code here:")
        terminal.type(code_for(login_url(terminal.out)))
        return terminal.end(), terminal.out
    finally:
        terminal.close()
