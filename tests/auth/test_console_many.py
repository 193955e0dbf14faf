"""The console with much in it, with nothing in it, and with nobody behind it: wide, on a phone, light, dark.

$SALLYPORT_SHOTS names a folder that keeps the screenshots."""

import os
import pathlib
import time
import uuid

import pika
import pytest
import requests

from support.browser import DARK, LIGHT, Browser, why_not
from support.process import wait_for
from support.signin import COMPUTE, PASSWORD

from auth.console import sign_in
from auth.test_pages import CONTRAST

PAYLOAD = "12\n00\ngAQpLg==\n12\n00\ngAR9lC4=\n"
LONG = "An-endpoint-whose-name-somebody-has-made-of-one-word-" + "x" * 240
FITS = "return document.documentElement.scrollWidth <= innerWidth"


@pytest.fixture(scope="module")
def busy(site):
    """A single-user endpoint with a long name that is away, and a thousand tasks in its queue."""
    site.command("user", "add", "many@example.org", "--password-stdin", stdin=PASSWORD + "\n")
    client, secret = site.client("with a name that is rather long for a column of a table", "many@example.org")
    token = requests.post(site.url + "/v2/oauth2/token", auth=(client, secret), timeout=20,
                          data={"grant_type": "client_credentials", "scope": COMPUTE}).json()["access_token"]

    def post(path, body):
        answer = requests.post(site.url + path, json=body, timeout=60, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        return answer.json()
    info = post("/v3/endpoints", {"endpoint_name": "many", "display_name": LONG, "multi_user": False, "public": False,
                                  "high_assurance": False, "metadata": {"endpoint_version": "4.19.0"}})
    function = post("/v3/functions", {"function_name": "a_function_with_a_name_" + "y" * 200, "serialized": True,
                                      "function_code": "19\nst\nf:def f(): pass\n", "meta": {}})["function_uuid"]
    for _ in range(10):
        post(f"/v3/endpoints/{info['endpoint_id']}/submit", {"tasks": {function: [PAYLOAD] * 100}, "create_queue": False})
    return info


@pytest.fixture(scope="module")
def page(site, busy):
    if reason := why_not():
        pytest.skip(reason)
    with Browser(1100, 800) as window:
        yield window


def seen(page, text):
    try:
        wait_for(repr(text), lambda: text in page.text or None, 20, 0.2)
    except AssertionError as late:
        raise AssertionError(f"{late}\n{page.url}\n{page.text[:2000]}") from None


def every_look(page, name):
    """Nothing is cut off and text stands out, in each look; the pictures are for a person."""
    for scheme in (LIGHT, DARK):
        page.scheme(scheme)
        for width in (1100, 360):
            page.resize(width, 800)
            time.sleep(0.3)
            assert page.run(FITS), (name, scheme, width)
            assert page.run(CONTRAST) == [], (name, scheme, width)
            if shots := os.environ.get("SALLYPORT_SHOTS"):
                page.screenshot(pathlib.Path(shots) / f"{name}-{scheme}-{width}.png")
    page.scheme(LIGHT)
    page.resize(1100, 800)


def test_how_many_wait_in_the_queue(site, page, busy):
    """As the broker tells it: a thousand, then less, and whether anybody reads."""
    sign_in(page, site, "many@example.org")
    page.go(f"{site.url}/web/#/endpoint/{busy['endpoint_id']}")
    seen(page, "1,000 messages, 0 reading")
    connection = pika.BlockingConnection(pika.URLParameters(busy["task_queue_info"]["connection_url"]))
    channel = connection.channel()
    for _ in range(10):
        method, _, _ = channel.basic_get(busy["task_queue_info"]["queue"])
        channel.basic_ack(method.delivery_tag)
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(busy["task_queue_info"]["queue"], lambda *_: None)
    connection.process_data_events(0.5)
    page.go(site.url + "/web/#/account")
    page.go(f"{site.url}/web/#/endpoint/{busy['endpoint_id']}")
    seen(page, "messages, 1 reading")
    assert "989 messages" in page.text or "990 messages" in page.text
    connection.close()
    every_look(page, "queue")


def test_a_thousand_tasks(site, page):
    sign_in(page, site, "many@example.org")
    seen(page, LONG[:79] + "…")
    assert page.run("return [...document.querySelectorAll('.scroll')].every((e) => e.scrollWidth <= e.clientWidth)")
    every_look(page, "long-names")
    page.go(site.url + "/web/#/tasks")
    seen(page, "Older tasks")
    every_look(page, "tasks")
    older = "return [...document.querySelectorAll('main p a')].filter((a) => a.textContent === 'Older tasks')"
    first = "return document.querySelector('td a')?.textContent"
    seen_first = set()
    while page.run(f"{older}.length") and len(seen_first) < 100:
        newest = page.run(first)
        seen_first.add(newest)
        page.run(f"{older}[0].click()".replace("return ", ""))
        wait_for("the next page", lambda: page.run(first) not in (newest, None) or None)
    assert 4 <= len(seen_first) < 100


def test_nothing_yet(site, page):
    sign_in(page, site, "bob@example.org")
    page.go(site.url + "/web/#/tasks")
    seen(page, "No tasks.")
    every_look(page, "empty-tasks")


def test_what_went_wrong_is_said(site, page):
    """A page that is not there, a thing that is not there, a service that is not there; then it is back."""
    sign_in(page, site, "bob@example.org")
    page.go(f"{site.url}/web/#/task/{uuid.uuid4()}")
    alert = page.wait("main [role=alert]")
    assert "There is none of that id" in alert.text
    every_look(page, "not-there")
    page.go(site.url + "/web/#/nonsense")
    seen(page, "There is no such page.")
    page.run("window.realFetch = window.fetch; window.fetch = () => Promise.reject(new TypeError('gone'))")
    page.run("location.hash = '#/tasks'")
    seen(page, "The service does not answer.")
    every_look(page, "no-answer")
    page.run("window.fetch = window.realFetch; location.hash = '#/endpoints'")
    seen(page, "My endpoints")
