"""The sign-in of a person: the unmodified SDK and command line against the real service."""

import json
import pathlib
import re
import sqlite3
import subprocess
import sys
import time
import urllib.parse

import jwt
import pytest
from globus_sdk import AuthLoginClient

from support.sdk import run_script
from support.signin import (COMPUTE, NATIVE, PROJECTS, Terminal, Visitor, by_server, challenge_of, code_of, log_in,
                            login_url)


def sign_in_at(site, name="alice@example.org"):
    """For log_in(): opens the URL as a browser would, and gives the code."""
    def code_for(url):
        visitor = Visitor(site.url)
        page = visitor.http.get(url, timeout=20)
        assert page.status_code == 200, page.text
        return code_of(visitor.send(page, action="sign-in", username=name, password="correct horse battery"))
    return code_for


def cli(original, environment, *words):
    return subprocess.run([original, *words], env=environment, capture_output=True, text=True, timeout=90,
                          stdin=subprocess.DEVNULL)


def stored(environment):
    with sqlite3.connect(environment["GLOBUS_COMPUTE_USER_DIR"] + "/storage.db") as db:
        return db.execute("select namespace, resource_server, token_data_json from token_storage "
                          "order by 2").fetchall()


def test_command_line(site, original, user_environment, asked):
    """A6, A7, A19, A20: login, whoami, logout of the original."""
    code, out = log_in([original, "login"], user_environment, sign_in_at(site))
    assert code == 0, out
    rows = stored(user_environment)
    assert [row[:2] for row in rows] == [("user/local", "auth.globus.org"), ("user/local", "funcx_service")]
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(
        next(word for word in out.split() if "/authorize?" in word)).query)
    assert set(query) == {"client_id", "redirect_uri", "scope", "state", "response_type", "access_type",
                          "code_challenge", "code_challenge_method", "prefill_named_grant"}
    who = cli(original, user_environment, "whoami")
    assert who.returncode == 0 and "alice@example.org" in who.stdout, who.stderr
    linked = cli(original, user_environment, "whoami", "--linked-identities")
    assert linked.returncode == 0 and "alice@example.org" in linked.stdout
    asked_then = [(m, p) for m, p, _ in asked()]
    assert asked_then.count(("GET", "/jwk.json")) == 1
    assert ("GET", "/v2/oauth2/userinfo") in asked_then and ("GET", "/v2/api/identities") in asked_then
    tokens = {server: json.loads(data) for _, server, data in rows}
    assert all(t["identity_id"] and t["refresh_token"] for t in tokens.values())
    assert cli(original, user_environment, "logout").returncode == 0
    revoked = [p for _, p, s in asked() if p == "/v2/oauth2/token/revoke" and s == 200]
    assert len(revoked) == 4 and stored(user_environment) == []
    check = Visitor(site.url)
    assert check.get("/v2/endpoints", tokens["funcx_service"]["access_token"]).status_code == 401
    again = check.token(grant_type="refresh_token", client_id=NATIVE,
                        refresh_token=tokens["funcx_service"]["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_our_command_line(site, prefix, user_environment):
    ours = str(prefix / "bin" / "globus-compute-endpoint")
    code, out = log_in([ours, "login"], user_environment, sign_in_at(site))
    assert code == 0, out
    who = cli(ours, user_environment, "whoami")
    assert who.returncode == 0 and "alice@example.org" in who.stdout


SCRIPT = """
import sys
from globus_compute_sdk import Client
client = Client()
print(client.get_endpoints(role="owner"))
"""


def test_script_signs_in_by_itself(site, user_environment):
    code, out = log_in([sys.executable, "-c", SCRIPT], user_environment, sign_in_at(site))
    assert code == 0 and "[]" in out, out
    run_script(SCRIPT, user_environment).check()  # and needs no terminal from then on


def test_another_identity_without_logout(site, user_environment):
    """A24: refused by the SDK."""
    script = "from globus_compute_sdk import Client; Client().login_manager if False else None\n" + SCRIPT
    assert log_in([sys.executable, "-c", script], user_environment, sign_in_at(site))[0] == 0
    force = "from globus_compute_sdk.sdk.auth.globus_app import get_globus_app\nget_globus_app().login(force=True)"
    code, out = log_in([sys.executable, "-c", force], user_environment, sign_in_at(site, "bob@example.org"))
    assert code != 0 and "IdentityMismatchError" in out


def test_token_reply(visitor):
    """A10, A12: fields and scopes of the code exchange; the SDK's own class accepts the id token."""
    reply = visitor.redeem(visitor.code("alice@example.org"))
    body = reply.json()
    assert reply.headers["Cache-Control"] == "no-store"
    assert set(body) == {"access_token", "scope", "expires_in", "token_type", "resource_server", "refresh_token",
                         "other_tokens", "id_token"}
    assert set(body["other_tokens"][0]) == set(body) - {"other_tokens", "id_token"}
    servers = by_server(body)
    assert set(servers["auth.globus.org"]["scope"].split()) == {"openid", PROJECTS}
    assert servers["funcx_service"]["scope"] == COMPUTE
    header = jwt.get_unverified_header(body["id_token"])
    keys = visitor.http.get(visitor.url + "/jwk.json", timeout=20).json()["keys"]
    assert header["alg"] == "RS512" and header["kid"] == keys[0]["kid"] and keys[0]["kty"] == "RSA"
    claims = jwt.decode(body["id_token"], jwt.PyJWK(keys[0]).key, algorithms=["RS512"], audience=NATIVE)
    assert claims["preferred_username"] == "alice@example.org" and claims["exp"] > time.time()
    assert claims["iss"] == visitor.url
    described = visitor.http.get(visitor.url + "/.well-known/openid-configuration", timeout=20).json()
    assert described["jwks_uri"] == visitor.url + "/jwk.json"
    assert described["id_token_signing_alg_values_supported"] == ["RS512"]


def test_code_works_once(visitor):
    """A8: the second exchange fails, and ends what the first gave."""
    code = visitor.code("alice@example.org")
    tokens = by_server(visitor.redeem(code).json())
    assert visitor.get("/v2/endpoints", tokens["funcx_service"]["access_token"]).status_code == 200
    again = visitor.redeem(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert visitor.get("/v2/endpoints", tokens["funcx_service"]["access_token"]).status_code == 401


@pytest.mark.parametrize("change, error", [
    ({"code_verifier": "x" * 43}, "invalid_grant"),
    ({"code_verifier": ""}, "invalid_grant"),
    ({"redirect_uri": "http://localhost:1/v2/web/auth-code"}, "invalid_grant"),
    ({"client_id": "00000000-0000-0000-0000-000000000000"}, "invalid_client"),
    ({"code": "C" + "x" * 43}, "invalid_grant"),
    ({"client_secret": "native clients have none"}, "invalid_client"),
])
def test_bad_exchanges(visitor, change, error):
    """A7 and its like."""
    reply = visitor.redeem(**{"code": visitor.code("alice@example.org"), **change})
    assert (reply.status_code, reply.json()["error"]) == (401 if "client" in error else 400, error)


def test_refresh(visitor):
    """A13: one resource server; rotation; the old token is accepted again for a while."""
    tokens = visitor.tokens("alice@example.org")
    old = tokens["funcx_service"]
    form = {"grant_type": "refresh_token", "client_id": NATIVE}
    new = visitor.token(**form, refresh_token=old["refresh_token"]).json()
    assert new["resource_server"] == "funcx_service" and new["other_tokens"] == [] and new["scope"] == COMPUTE
    assert new["refresh_token"] != old["refresh_token"] and "id_token" not in new
    for token in (old["access_token"], new["access_token"]):
        assert visitor.get("/v2/endpoints", token).status_code == 200
    assert visitor.token(**form, refresh_token=old["refresh_token"]).status_code == 200
    assert visitor.token(**form, refresh_token=new["refresh_token"]).status_code == 200
    stolen = visitor.token(**{**form, "client_id": "00000000-0000-0000-0000-000000000000"},
                           refresh_token=new["refresh_token"])
    assert stolen.status_code == 401
    assert visitor.token(**form, refresh_token=new["access_token"]).json()["error"] == "invalid_grant"


def test_sdk_refreshes_by_itself(site, user_environment, asked):
    """A14: a token that has ended is renewed once and the call repeated."""
    assert log_in([sys.executable, "-c", SCRIPT], user_environment, sign_in_at(site))[0] == 0
    path = user_environment["GLOBUS_COMPUTE_USER_DIR"] + "/storage.db"
    with sqlite3.connect(path) as db:
        data = json.loads(db.execute("select token_data_json from token_storage where resource_server = "
                                     "'funcx_service'").fetchone()[0])
        data["access_token"] = "A" + "x" * 43
        db.execute("update token_storage set token_data_json = ? where resource_server = 'funcx_service'",
                   [json.dumps(data)])
    before = len(asked())
    run_script(SCRIPT, user_environment).check()
    new = [(m, p, s) for m, p, s in asked()[before:] if "version" not in p]
    assert ("GET", "/v2/endpoints", 200) in new
    assert [p for _, p, s in new if s == 200].count("/v2/oauth2/token") == 1


def test_revoked_refresh_token_on_the_command_line(site, original, user_environment):
    """A15: without a terminal the original's exit status is 77."""
    assert log_in([original, "login"], user_environment, sign_in_at(site))[0] == 0
    site.command("token", "revoke", "alice@example.org")
    with sqlite3.connect(user_environment["GLOBUS_COMPUTE_USER_DIR"] + "/storage.db") as db:
        for server, data in db.execute("select resource_server, token_data_json from token_storage").fetchall():
            changed = {**json.loads(data), "expires_at_seconds": 1}
            db.execute("update token_storage set token_data_json = ? where resource_server = ?",
                       [json.dumps(changed), server])
    done = cli(original, user_environment, "whoami")
    assert done.returncode in (1, 77), done.stdout + done.stderr
    assert "log" in (done.stdout + done.stderr).lower()


def test_userinfo_of_openid_alone(visitor):
    """A21."""
    tokens = visitor.tokens("alice@example.org", scope="openid")
    assert set(tokens) == {"auth.globus.org"}
    info = visitor.get("/v2/oauth2/userinfo", tokens["auth.globus.org"]["access_token"]).json()
    assert info["sub"] in [one["sub"] for one in info["identity_set"]]
    assert info["email"] == "alice@example.org" and info["last_authentication"] > 0


def test_identities(visitor):
    token = visitor.tokens("alice@example.org")["auth.globus.org"]["access_token"]
    info = visitor.get("/v2/oauth2/userinfo", token).json()
    found = visitor.get(f"/v2/api/identities?ids={info['sub']},{NATIVE},junk", token).json()["identities"]
    assert [(one["id"], one["username"], one["status"]) for one in found] == [
        (info["sub"], "alice@example.org", "used")]
    assert visitor.get("/v2/api/identities", token).status_code == 400
    assert visitor.get("/v2/api/identities?usernames=alice@example.org", token).json()["identities"]


def test_projects_and_policies(visitor):
    """A26: what `configure` with policy options sends; nobody else's project can be used."""
    token = visitor.tokens("alice@example.org")["auth.globus.org"]["access_token"]

    def post(path, body, who=token):
        return visitor.http.post(visitor.url + path, json=body, timeout=20,
                                 headers={"Authorization": f"Bearer {who}"})

    project = post("/v2/api/projects", {"project": {"display_name": "site", "contact_email": "a@example.org",
                                                    "admin_ids": [], "admin_group_ids": []}}).json()["project"]
    assert project["id"] in [p["id"] for p in visitor.get("/v2/api/projects", token).json()["projects"]]
    policy = {"project_id": project["id"], "display_name": "ours", "description": "d", "high_assurance": True,
              "authentication_assurance_timeout": 60, "required_mfa": True,
              "domain_constraints_include": ["example.org"], "domain_constraints_exclude": ["evil.org"]}
    made = post("/v2/api/policies", {"policy": policy})
    assert made.status_code == 200 and made.json()["policy"]["id"]
    bob = Visitor(visitor.url).tokens("bob@example.org")["auth.globus.org"]["access_token"]
    assert project["id"] not in visitor.get("/v2/api/projects", bob).text
    assert post("/v2/api/policies", {"policy": policy}, bob).status_code == 404
    for bad in ({}, {"policy": []}, {"policy": {**policy, "required_mfa": "yes"}}, {"policy": {}}):
        assert post("/v2/api/policies", bad).status_code == 400
    assert post("/v2/api/projects", {"project": {}}).status_code == 400


def test_step_up(visitor):
    """A25: the parameters of a second sign-in are met, or the page says what is missing."""
    name = "alice@example.org"
    for met in ({"session_required_single_domain": "example.org,example.edu"}, {"session_required_identities": name}):
        assert Visitor(visitor.url).sign_in(name, **met).status_code == 303
    for change, words in [({"session_required_single_domain": "other.org"}, "an account of other.org is needed"),
                          ({"session_required_identities": "bob@example.org"}, "sign in as bob@example.org"),
                          ({"session_required_mfa": "True"}, "second factor"),
                          ({"session_required_policies": "00000000-0000-0000-0000-000000000000"}, "know the policy")]:
        fresh = Visitor(visitor.url)
        page = fresh.http.get(fresh.authorize_url(session_message="Because <b>we</b> say so", **change), timeout=20)
        assert "Because &lt;b&gt;we&lt;/b&gt; say so" in page.text
        refused = fresh.send(page, action="sign-in", username=name, password="correct horse battery")
        assert refused.status_code == 403 and words in refused.text, refused.text


def test_signed_in_already(visitor):
    """A browser that is signed in is asked to continue; prompt=login asks for the password again."""
    assert visitor.sign_in("alice@example.org").status_code == 303
    page = visitor.http.get(visitor.authorize_url(), timeout=20)
    assert "Signed in as" in page.text and 'name="password"' not in page.text
    assert visitor.send(page).status_code == 303
    asked = visitor.http.get(visitor.authorize_url(prompt="login"), timeout=20)
    assert 'name="password"' in asked.text and "Signed in as" not in asked.text
    # The form of the easier page does not get round it.
    action, hidden = visitor.form(page)
    forced = visitor.http.post(action + "&prompt=login", data=hidden, allow_redirects=False, timeout=20)
    assert forced.status_code == 403


@pytest.mark.parametrize("change, status, place", [
    ({"redirect_uri": "http://evil.example.org/v2/web/auth-code"}, 400, None),
    ({"redirect_uri": "http://localhost.evil.org:5000/v2/web/auth-code"}, 400, None),
    ({"redirect_uri": None}, 400, None),
    ({"client_id": None}, 400, None),
    ({"client_id": "00000000-0000-0000-0000-000000000000"}, 400, None),
    ({"state": "x" * 5000}, 400, None),
    ({"response_type": "token"}, 303, "unsupported_response_type"),
    ({"code_challenge": None}, 303, "invalid_request"),
    ({"code_challenge_method": "plain"}, 303, "invalid_request"),
    ({"code_challenge": "short"}, 303, "invalid_request"),
    ({"scope": "openid junk"}, 303, "invalid_scope"),
])
def test_bad_links(visitor, change, status, place):
    """What the client can't be trusted with stays here; the rest goes back as an error."""
    reply = visitor.http.get(visitor.authorize_url(**change), allow_redirects=False, timeout=20)
    assert reply.status_code == status
    if place:
        assert reply.headers["Location"].startswith("/v2/web/auth-code?error=" + place)
        shown = visitor.http.get(visitor.url + reply.headers["Location"], timeout=20)
        assert "The sign-in was not completed" in shown.text


def test_address_without_its_slash(site):
    """A28: GLOBUS_SDK_SERVICE_URL_AUTH without its last slash still works."""
    visitor = Visitor(site.url)
    odd = site.url + "v2/web/auth-code"
    code = visitor.code("alice@example.org", redirect_uri=odd)
    assert visitor.redeem(code, redirect_uri=odd).status_code == 200


def test_sdk_reads_every_reply(site, monkeypatch):
    """globus_sdk's own classes as the readers."""
    monkeypatch.setenv("GLOBUS_SDK_SERVICE_URL_AUTH", site.url + "/")
    monkeypatch.setenv("GLOBUS_SDK_ENVIRONMENT", "local")
    from globus_sdk import NativeAppAuthClient

    client: AuthLoginClient = NativeAppAuthClient(NATIVE, environment="local")
    client.oauth2_start_flow([f"openid {PROJECTS}", COMPUTE], refresh_tokens=True)
    url = client.oauth2_get_authorize_url()
    tokens = client.oauth2_exchange_code_for_tokens(sign_in_at(site)(url))
    assert tokens.decode_id_token()["preferred_username"] == "alice@example.org"
    assert set(tokens.by_resource_server) == {"auth.globus.org", "funcx_service"}
    again = client.oauth2_refresh_token(tokens.by_resource_server["funcx_service"]["refresh_token"])
    assert again.by_resource_server["funcx_service"]["access_token"]
    assert client.oauth2_revoke_token(again["access_token"])["active"] is False
    assert challenge_of("a" * 43)


def test_policy_made_by_configure(site, original, user_environment):
    """A26: the original's command makes project and policy, and writes the policy's id."""
    assert log_in([original, "login"], user_environment, sign_in_at(site, "root@example.org"))[0] == 0
    words = ["configure", "--contact-email", "a@example.org", "--auth-policy-display-name", "site policy",
             "--auth-policy-description", "of the site", "--allowed-domains", "example.org,*.example.edu",
             "--excluded-domains", "evil.org", "--auth-timeout", "30", "guarded"]
    made = subprocess.run([original, *words], env=user_environment, capture_output=True, text=True, timeout=90,
                          input=f"site project\na@example.org\n{NATIVE}\n{NATIVE}\ny\n")
    assert made.returncode == 0, made.stdout + made.stderr
    config = (pathlib.Path(user_environment["GLOBUS_COMPUTE_USER_DIR"]) / "guarded" / "config.yaml").read_text()
    assert re.search(r"authentication_policy: [0-9a-f-]{36}", config), config


STEP_UP = """
import sys
from globus_compute_sdk import Client
client = Client()
doc = {"endpoint_name": "guarded", "multi_user": True, "public": False, "high_assurance": False,
       "authentication_policy": sys.argv[1], "metadata": {"endpoint_version": "4.19.0", "hostname": "h",
       "local_user": "root", "endpoint_config": "", "user_config_template": "engine: {}", "user_config_schema": None}}
endpoint = client._compute_web_client.v3.post("/v3/endpoints", data=doc).data["endpoint_id"]
function = client.register_function(lambda: 1)
print("SUBMITTING", flush=True)
client.run(endpoint_id=endpoint, function_id=function)
"""


def test_step_up_at_a_submit(site, visitor, user_environment, asked):
    """A25: the submit is refused with what is missing, the SDK asks for that sign-in and repeats the call once."""
    token = visitor.tokens("eve@example.org")["auth.globus.org"]["access_token"]

    def post(path, body):
        return visitor.http.post(visitor.url + path, json=body, timeout=20,
                                 headers={"Authorization": f"Bearer {token}"}).json()

    project = post("/v2/api/projects", {"project": {"display_name": "p"}})["project"]["id"]
    policy = post("/v2/api/policies", {"policy": {"project_id": project, "display_name": "two factors",
                                                  "required_mfa": True}})["policy"]["id"]
    assert log_in([sys.executable, "-c", SCRIPT], user_environment, sign_in_at(site, "eve@example.org"))[0] == 0
    terminal = Terminal([sys.executable, "-c", STEP_UP, policy], user_environment)
    try:
        terminal.until("Authorization Code here:")
        said = terminal.out.split("SUBMITTING")[1]
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(login_url(said)).query)
        assert query["session_required_mfa"] == ["True"] and query["session_required_policies"] == [policy]
        assert "second factor" in query["session_message"][0] and "prompt" not in query
        # Somebody signs in who has none; the page says so, and no code comes of it.
        page = Visitor(site.url)
        refused = page.send(page.http.get(login_url(said), timeout=20), action="sign-in", username="eve@example.org",
                            password="correct horse battery")
        assert refused.status_code == 403 and "second factor" in refused.text
        # A sign-in without these demands lets the SDK go on: the repeated call fails for good.
        terminal.type(sign_in_at(site, "eve@example.org")(login_url(said).split("&session_")[0]))
        assert terminal.end() != 0
    finally:
        terminal.close()
    submits = [s for m, p, s in asked() if p.endswith("/submit")]
    assert submits == [403, 403]
