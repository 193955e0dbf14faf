"""Client credentials: what scripts and endpoints of a site use."""

import base64
import json
import uuid

import pytest
import requests

from support.sdk import run_script
from support.signin import COMPUTE, PROJECTS, Visitor, by_server

CLIENT = """
from globus_compute_sdk import Client
client = Client()
print(client._compute_web_client.v2.get("/v2/version").http_status)
"""


def ask(site, client, **form):
    return requests.post(site.url + "/v2/oauth2/token", data={"grant_type": "client_credentials", **form},
                         auth=client, timeout=20, proxies={"http": ""})


def test_requests_of_a_client(site, folder, asked):
    """Checklist A1, A4: a token, then the version with it; nothing anywhere else."""
    environment = site.environment(folder, site.client("a1"))
    environment["GLOBUS_SDK_SERVICE_URL_COMPUTE"] = "http://127.0.0.1:9/"
    run_script(CLIENT, environment).check()
    done = [(m, p) for m, p, status in asked() if status == 200]  # slow clients of other tests end now and then
    version = done.index(("GET", "/v2/version"))
    assert done[version - 1] == ("POST", "/v2/oauth2/token") and set(done[:version]) == {done[version - 1]}, done


def test_environment_without_auth_url(site, folder, asked):
    """A5: refused by the SDK before any request."""
    environment = site.environment(folder, site.client("a5"))
    del environment["GLOBUS_SDK_SERVICE_URL_AUTH"]
    ran = run_script(CLIENT, environment)
    assert ran.code != 0 and 'Unrecognized environment "local"' in ran.err
    assert asked() == []


def test_secret_without_id(site, folder, asked):
    """A23."""
    environment = site.environment(folder, site.client("a23"))
    del environment["GLOBUS_COMPUTE_CLIENT_ID"]
    ran = run_script(CLIENT, environment)
    assert ran.code != 0 and "GLOBUS_COMPUTE_CLIENT_ID" in ran.err
    assert asked() == []


def test_secret_with_any_character(site, folder):
    """A16: Basic is split at the first colon and not URL-decoded."""
    secret = "per%25cent+plus&amp=eq:colon/sl ash é"
    made = json.loads(site.command("client", "add", "a16", "--secret-stdin", "--json", stdin=secret + "\n"))
    assert made["client_secret"] == secret
    run_script(CLIENT, site.environment(folder, (made["client_id"], secret))).check()
    header = base64.b64encode(f"{made['client_id']}:{secret}".encode()).decode()
    for wrong in (secret[:-1], secret.replace("%25", "%"), secret.replace("+", " ")):
        assert ask(site, (made["client_id"], wrong.encode()), scope=COMPUTE).status_code == 401
    reply = requests.post(site.url + "/v2/oauth2/token", timeout=20, headers={"Authorization": "Basic " + header},
                          data={"grant_type": "client_credentials", "scope": "openid"})
    assert reply.status_code == 200


def test_repeated_scopes_and_both_servers(site):
    """A17, A18."""
    client = site.client("a17")
    body = ask(site, client, scope=f"{COMPUTE} {COMPUTE} {COMPUTE}").json()
    assert (body["scope"], body["other_tokens"], body["resource_server"]) == (COMPUTE, [], "funcx_service")
    assert "refresh_token" not in body and body["token_type"] == "Bearer" and body["expires_in"] == 172800
    both = ask(site, client, scope=f"openid {COMPUTE} openid {PROJECTS}").json()
    assert len(both["other_tokens"]) == 1
    servers = by_server(both)
    assert servers["auth.globus.org"]["scope"].split() == ["openid", PROJECTS]
    assert servers["funcx_service"]["scope"] == COMPUTE


@pytest.mark.parametrize("form, status, error", [
    ({"scope": "openid nonsense"}, 400, "invalid_scope"),
    ({"scope": ""}, 400, "invalid_scope"),
    ({}, 400, "invalid_scope"),
    ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ({"grant_type": ""}, 400, "unsupported_grant_type"),
])
def test_refused_requests(site, form, status, error):
    reply = ask(site, site.client("refused"), **form)
    assert (reply.status_code, reply.json()["error"]) == (status, error)
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json()["errors"][0]["status"] == str(status)


def test_wrong_clients(site):
    name, secret = site.client("wrong")
    for client in ((name, secret[:-1] + "x"), (name, ""), (str(uuid.uuid4()), secret), ("no uuid", secret), ("", "")):
        reply = ask(site, client, scope="openid")
        assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client"), client


def test_identity_of_a_client(site, folder):
    """A client is an identity; with --as it is one of a user's."""
    script = """
    import json
    from globus_compute_sdk import Client
    print(json.dumps(Client().auth_client.userinfo().data))
    """
    alone = site.client("alone")
    info = json.loads(run_script(script, site.environment(folder, alone)).check().out)
    assert info["sub"] == alone[0] and [i["sub"] for i in info["identity_set"]] == [alone[0]]
    assert info["preferred_username"] == f"{alone[0]}@clients.auth.globus.org"
    linked = site.client("linked", "alice@example.org")
    info = json.loads(run_script(script, site.environment(folder / "2", linked)).check().out)
    assert info["identity_set"][0]["sub"] == linked[0]
    assert "alice@example.org" in [i["username"] for i in info["identity_set"]]
    assert all(value is not None for i in info["identity_set"] for value in i.values())


def test_removed_client(site):
    client = site.client("removed")
    token = ask(site, client, scope=COMPUTE).json()["access_token"]
    check = Visitor(site.url)
    assert check.get("/v2/endpoints", token).status_code == 200
    site.command("client", "remove", client[0])
    assert ask(site, client, scope=COMPUTE).status_code == 401
    # The running service forgets what it checked within ten seconds; a token that it never saw, at once.
    assert client[0] not in site.command("client", "list")


def test_introspection(site):
    one, other = site.client("own"), site.client("other")
    token = ask(site, one, scope=COMPUTE).json()["access_token"]

    def about(client, text, **more):
        return requests.post(site.url + "/v2/oauth2/token/introspect", data={"token": text, **more}, auth=client,
                             timeout=20)

    known = about(one, token, include="identity_set,identity_set_detail,session_info").json()
    assert known["active"] and known["sub"] == one[0] and known["aud"] == ["funcx_service"]
    assert known["identity_set"] == [one[0]] and known["session_info"]["authentications"][one[0]]["auth_time"]
    assert about(other, token).json() == {"active": False}
    assert about(one, "Anonsense").json() == {"active": False}
    assert about((one[0], "wrong"), token).status_code == 401


def test_tokens_open_nothing_else(site):
    """A token of one server is none of the other's; a stolen one opens only what it was given for."""
    body = by_server(ask(site, site.client("narrow"), scope=f"openid {COMPUTE}").json())
    compute, auth = body["funcx_service"]["access_token"], body["auth.globus.org"]["access_token"]
    check = Visitor(site.url)
    assert check.get("/v2/endpoints", compute).status_code == 200
    refused = check.get("/v2/endpoints", auth)
    assert refused.status_code == 403 and refused.json()["code"] == "INSUFFICIENT_AUTH_SCOPE"
    assert check.get("/v2/oauth2/userinfo", auth).status_code == 200
    assert check.get("/v2/oauth2/userinfo", compute).status_code == 403
    assert check.get("/v2/api/projects", auth).status_code == 403
    for bad in ("", "A", "A" * 44, compute[:-1], compute + "x", "R" + compute[1:], "null", "A" * 100000):
        assert check.get("/v2/endpoints", bad).status_code in (400, 401, 431), bad[:50]
