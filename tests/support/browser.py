"""Headless Chromium, driven through chromedriver's own protocol (WebDriver) with nothing but urllib."""

from __future__ import annotations

import base64
import json
import pathlib
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from typing import Any

from support.process import free_port, wait_for

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"tab": "\ue004", "enter": "\ue007", "space": "\ue00d"}
LIGHT, DARK = "light", "dark"


def why_not() -> str:
    """Why there is no browser here; empty when there is one."""
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            return f"{program} is not installed (Debian: chromium, chromium-driver)"
    return ""


class Missing(Exception):
    """No element fits the selector."""


class Browser:
    """One window with a profile of its own."""

    def __init__(self, width: int = 1100, height: int = 800, *options: str):
        self._profile = tempfile.mkdtemp(prefix="sallyport-browser-", dir="/var/tmp")
        self._port = free_port()
        self._driver = subprocess.Popen(
            ["chromedriver", f"--port={self._port}", "--log-level=OFF"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self._base = f"http://127.0.0.1:{self._port}"
        self._session = ""
        try:
            wait_for("chromedriver", self._ready, 30, 0.1)
            arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                         "--no-first-run", "--disable-background-networking", "--disable-sync",
                         "--no-proxy-server", f"--user-data-dir={self._profile}",
                         f"--window-size={width},{height}", *options]
            answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": {"args": arguments, "binary": shutil.which("chromium")},
                "goog:loggingPrefs": {"browser": "ALL"}}}})
            self._session = "/session/" + answer["sessionId"]
        except BaseException:
            self.close()
            raise

    def _ready(self) -> bool:
        try:
            return bool(self._send("GET", "/status")["ready"])
        except (OSError, urllib.error.URLError):
            return False

    def _send(self, method: str, path: str, body: dict | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"},
                                         method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as failed:
            value = json.load(failed)["value"]
            if value.get("error") == "no such element":
                raise Missing(value["message"].split("\n")[0]) from None
            raise RuntimeError(f"{value.get('error')}: {value.get('message')}") from None

    def call(self, method: str, path: str, body: dict | None = None) -> Any:
        return self._send(method, self._session + path, body)

    # ---- pages ----

    def go(self, url: str) -> None:
        self.call("POST", "/url", {"url": url})

    @property
    def url(self) -> str:
        return self.call("GET", "/url")

    @property
    def title(self) -> str:
        return self.call("GET", "/title")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def resize(self, width: int, height: int) -> None:
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height,
                      deviceScaleFactor=1, mobile=width < 600)

    def scheme(self, name: str) -> None:
        self.devtools("Emulation.setEmulatedMedia",
                      features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path: pathlib.Path) -> None:
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def complaints(self) -> list[str]:
        """What the browser logged: refused scripts, missing files, errors."""
        return [line["message"] for line in self.call("POST", "/se/log", {"type": "browser"})]

    # ---- elements ----

    def find(self, selector: str) -> Element:
        return Element(self, self.call("POST", "/element",
                                       {"using": "css selector", "value": selector})[ELEMENT])

    def all(self, selector: str) -> list[Element]:
        return [Element(self, found[ELEMENT]) for found in
                self.call("POST", "/elements", {"using": "css selector", "value": selector})]

    def wait(self, selector: str, seconds: float = 15) -> Element:
        end = time.monotonic() + seconds
        while True:
            try:
                return self.find(selector)
            except Missing:
                if time.monotonic() > end:
                    raise Missing(f"{selector} on {self.url}: {self.text[:800]}") from None
                time.sleep(0.1)

    @property
    def text(self) -> str:
        return self.run("return document.body ? document.body.innerText : ''")  # one step: the page may change

    def keys(self, *names: str) -> None:
        """Presses keys one after the other: "tab", "enter", or plain text."""
        actions = []
        for name in names:
            for key in ([KEYS[name]] if name in KEYS else name):
                actions += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    @property
    def focus(self) -> str:
        """Name, id or text of what has the focus."""
        return self.run("const e = document.activeElement; return e.id || e.name || e.textContent.trim()")

    def accessibility(self) -> list[tuple[str, str]]:
        """(role, name) of everything that a screen reader is told."""
        nodes = self.devtools("Accessibility.getFullAXTree")["nodes"]
        return [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes
                if not n.get("ignored") and "role" in n]

    def close(self) -> None:
        if self._session:
            try:
                self.call("DELETE", "")
            except (OSError, RuntimeError, urllib.error.URLError):
                pass
        self._driver.terminate()
        try:
            self._driver.wait(10)
        except subprocess.TimeoutExpired:
            self._driver.kill()
            self._driver.wait()
        shutil.rmtree(self._profile, ignore_errors=True)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Element:
    def __init__(self, browser: Browser, name: str):
        self._browser = browser
        self._path = "/element/" + name

    def click(self) -> None:
        self._browser.call("POST", self._path + "/click", {})

    def type(self, text: str) -> None:
        self._browser.call("POST", self._path + "/value", {"text": text})

    def clear(self) -> None:
        self._browser.call("POST", self._path + "/clear", {})

    @property
    def text(self) -> str:
        return self._browser.call("GET", self._path + "/text")

    def attribute(self, name: str) -> str | None:
        return self._browser.call("GET", f"{self._path}/property/{name}")

    @property
    def shown(self) -> bool:
        return self._browser.call("GET", self._path + "/displayed")
