"""The pages in a real browser: keyboard, screen reader, phone, dark, no script; and the console.

$SALLYPORT_SHOTS names a folder that keeps the screenshots."""

import os
import pathlib
import sys
import time

import pytest

from support.browser import DARK, LIGHT, Browser, why_not
from support.process import wait_for
from support.sdk import run_script
from support.signin import PASSWORD, Visitor, log_in

SCRIPT = "from globus_compute_sdk import Client; print(Client().get_endpoints(role='owner'))"


@pytest.fixture(scope="module")
def browser():
    if reason := why_not():
        pytest.skip(reason)
    with Browser() as window:
        yield window


@pytest.fixture
def page(browser):
    """The browser as if it was never here, wide and light."""
    browser.devtools("Network.clearBrowserCookies")
    browser.resize(1100, 800)
    browser.scheme(LIGHT)
    browser.complaints()
    return browser


@pytest.fixture
def shot(page, tmp_path):
    folder = pathlib.Path(os.environ.get("SALLYPORT_SHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: page.screenshot(folder / f"{name}.png")


def type_sign_in(page, name="alice@example.org", password=PASSWORD):
    wait_for("focus", lambda: page.focus == "username" or None, 20)
    page.keys(name, "tab", password, "enter")


def test_sdk_login_through_the_page(site, user_environment, page):
    """What must hold: `sallyport user add`, then the SDK's own login flow in a browser."""
    def code_for(url):
        page.go(url)
        type_sign_in(page)
        return page.wait("#code").attribute("value")

    code, out = log_in([sys.executable, "-c", SCRIPT], user_environment, code_for)
    assert code == 0 and out.rstrip().endswith("]"), out  # the list of her endpoints
    run_script(SCRIPT, user_environment).check()


def test_keyboard_and_screen_reader(site, page, shot):
    visitor = Visitor(site.url)
    page.go(visitor.authorize_url())
    shot("sign-in")
    assert page.focus == "username"
    told = page.accessibility()
    assert ("textbox", "User name") in told and ("button", "Sign in") in told
    assert ("heading", "Sign in") in told and ("main", "") in told
    assert [name for role, name in told if role == "textbox"] == ["User name", "Password"]
    page.keys("alice@example.org", "tab")
    assert page.focus == "password"
    page.keys("tab")
    assert page.focus == "Sign in"
    page.go(visitor.authorize_url())
    type_sign_in(page, password="not the password")
    alert = page.wait("[role=alert]")
    shot("sign-in-refused")
    assert "user name or the password is wrong" in alert.text
    assert page.title.startswith("Error: ")
    assert page.focus == "password" and page.find("#username").attribute("value") == "alice@example.org"
    assert page.run("return document.activeElement.getAttribute('aria-describedby')") == "error"
    page.keys(PASSWORD, "enter")
    field = page.wait("#code")
    shot("code")
    assert page.focus == "code"
    assert page.run("const f = document.getElementById('code'); return f.selectionEnd - f.selectionStart") == 44
    assert ("textbox", "Code") in page.accessibility()
    page.keys("tab")
    assert page.focus == "copy"
    page.keys("enter")
    assert "Copied" in page.find("#copied").text
    assert visitor.redeem(field.attribute("value")).status_code == 200


def test_second_time_is_one_key(site, page, shot):
    visitor = Visitor(site.url)
    page.go(visitor.authorize_url())
    type_sign_in(page)
    page.wait("#code")
    page.go(visitor.authorize_url())
    shot("continue")
    assert page.focus == "Continue" and "alice@example.org" in page.text
    page.keys("enter")
    page.wait("#code")
    page.go(visitor.authorize_url())
    page.find("a[href*='prompt=login']").click()
    page.wait("#password")


def test_looks(site, page, shot):
    """Light and dark, wide and on a phone: nothing is cut off, and text stands out enough."""
    for scheme in (LIGHT, DARK):
        page.scheme(scheme)
        for width in (1100, 360):
            page.resize(width, 780)
            page.go(Visitor(site.url).authorize_url())
            shot(f"sign-in-{scheme}-{width}")
            assert page.run("return document.documentElement.scrollWidth <= innerWidth")
            assert page.run(CONTRAST) == []
    assert page.complaints() == []


CONTRAST = """
function channels(color) { return color.match(/[\\d.]+/g).map(Number); }
function light(c) {
  const [r, g, b] = c.map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function ground(e) {
  for (; e; e = e.parentElement) {
    const c = channels(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c.slice(0, 3);
  }
  return [255, 255, 255];
}
const weak = [];
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || !e.checkVisibility()) continue;
  const a = light(channels(getComputedStyle(e).color).slice(0, 3)), b = light(ground(e));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) weak.push(`${e.tagName} ${ratio.toFixed(2)} ${e.textContent.trim().slice(0, 30)}`);
}
return weak;
"""


def test_without_script(site):
    """Nothing on the way to the code needs one."""
    if reason := why_not():
        pytest.skip(reason)
    with Browser(900, 700, "--blink-settings=scriptEnabled=false") as plain:
        visitor = Visitor(site.url)
        plain.go(visitor.authorize_url())
        plain.find("#username").type("alice@example.org")
        plain.find("#password").type(PASSWORD)
        plain.find("button").click()
        field = plain.wait("#code")
        assert not plain.find("#copy").shown
        assert visitor.redeem(field.attribute("value")).status_code == 200


def test_nothing_from_elsewhere_and_nothing_inline(site, visitor):
    for path in ("/web/sign-in", "/v2/web/auth-code", "/v2/oauth2/authorize"):
        reply = visitor.http.get(site.url + path, timeout=20)
        policy = reply.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert reply.headers["Referrer-Policy"] == "no-referrer" and reply.headers["Cache-Control"] == "no-store"
        assert " style=" not in reply.text and "<style" not in reply.text and " onclick" not in reply.text
        assert "//" not in reply.text.replace("http://" + site.url.split("//")[1], "").replace("https://auth.globus", "")


def test_text_of_others_is_text(site, page):
    """A name or a message with markup in it is shown, not obeyed."""
    evil = "<img src=x onerror=alert(1)>"
    visitor = Visitor(site.url)
    page.go(visitor.authorize_url(session_message=evil))
    assert evil in page.text
    page.go(site.url + "/v2/web/auth-code?error=access_denied&error_description=" + evil)
    assert evil in page.text
    page.go(site.url + "/v2/web/auth-code?code=" + evil)
    assert evil not in page.run("return document.body.innerHTML") and "No code" in page.text


def wait_for_text(page, text, seconds=20):
    end = time.monotonic() + seconds
    while text not in page.text:
        assert time.monotonic() < end, f"no {text!r} in:\n{page.text[:2000]}"
        time.sleep(0.2)


REGISTER = """
import json, sys
from globus_compute_sdk import Client
client = Client()
doc = {"endpoint_name": sys.argv[1], "display_name": "Shown " + sys.argv[1], "multi_user": True, "public": False,
       "high_assurance": False, "metadata": {"endpoint_version": "4.19.0", "hostname": "login7",
       "local_user": "root", "endpoint_config": "", "user_config_template": "engine: {}", "user_config_schema": None}}
print(client._compute_web_client.v3.post("/v3/endpoints", data=doc).data["endpoint_id"])
"""


def test_console(site, folder, page, shot):
    """People see what is theirs, live; administrators see all of it."""
    client = site.client("console", "alice@example.org")
    endpoint = run_script(REGISTER, site.environment(folder, client), "first").check().out.strip()
    page.go(site.url + "/")
    assert page.wait("#username") and "/web/sign-in" in page.url
    type_sign_in(page)
    page.wait(".live.on")
    wait_for_text(page, "Shown first")
    shot("console-endpoints")
    assert ("link", "Tasks") in page.accessibility()
    page.go(f"{site.url}/web/#/endpoint/{endpoint}")
    wait_for_text(page, "login7")
    assert endpoint in page.text and "multi-user endpoint" in page.text
    shot("console-endpoint")
    for address, words in (("#/tasks", "My tasks"), ("#/account", "These identities are you")):
        page.go(f"{site.url}/web/{address}")
        wait_for_text(page, words)
    page.go(f"{site.url}/web/#/people")
    wait_for_text(page, "There is none of that id")
    for scheme, width in ((DARK, 1100), (LIGHT, 360), (DARK, 360)):
        page.scheme(scheme)
        page.resize(width, 780)
        page.go(f"{site.url}/web/#/endpoints")
        wait_for_text(page, "Shown first")
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        assert page.run(CONTRAST) == []
        shot(f"console-endpoints-{scheme}-{width}")
    page.find("#leave").click()
    page.wait("#username")
    page.go(site.url + "/web/")
    page.wait("#username")
    type_sign_in(page, "bob@example.org")
    page.wait(".live.on")
    wait_for_text(page, "No endpoint yet")
    page.go(f"{site.url}/web/#/endpoint/{endpoint}")
    wait_for_text(page, "There is none of that id")
    page.find("#leave").click()
    page.wait("#username")
    type_sign_in(page, "root@example.org")
    wait_for_text(page, "All endpoints")
    wait_for_text(page, "Shown first")
    page.go(f"{site.url}/web/#/people")
    wait_for_text(page, "Who runs what")


def test_console_data_need_a_session(site, folder, visitor):
    for path in ("me", "endpoints", "tasks", "people", "events", f"endpoints/{'0' * 8}-0000-0000-0000-{'0' * 12}"):
        reply = visitor.http.get(f"{site.url}/web/api/{path}", timeout=20, allow_redirects=False)
        assert reply.status_code == 401 and reply.json()["code"] == "USER_UNAUTHENTICATED", path
    page = visitor.http.get(site.url + "/web/sign-in?next=/web/", timeout=20)
    assert visitor.send(page, username="alice@example.org", password=PASSWORD).status_code == 303
    me = visitor.http.get(site.url + "/web/api/me", timeout=20).json()
    assert me["username"] == "alice@example.org" and not me["admin"] and len(me["csrf"]) == 64
    assert visitor.http.get(site.url + "/web/api/endpoints/x", timeout=20).status_code == 400
    assert visitor.http.get(site.url + "/web/api/tasks?before=x", timeout=20).status_code == 400
    assert visitor.http.get(site.url + "/web/api/people", timeout=20).status_code == 404
    stream = visitor.http.get(site.url + "/web/api/events", stream=True, timeout=20)
    assert stream.headers["Content-Type"].startswith("text/event-stream")
    assert b"event: hello" in [line for line, _ in zip(stream.iter_lines(), range(3))]
    stream.close()
