"""Who may do what: every route against every kind of caller, on the live service with its own sign-in."""

import json
import sqlite3
import uuid

import pytest
import requests

from support.signin import COMPUTE

PAYLOAD = "12\n00\ngAQpLg==\n12\n00\ngAR9lC4=\n"
PLACE = {"endpoint_version": "4.19.0", "hostname": "login1", "local_user": "root", "endpoint_config": "engine: secret\n",
         "user_config_template": "engine: {{ x }}", "user_config_schema": {"type": "object"}}
CALLERS = ("owner", "configure", "operate", "view", "user", "stranger", "none", "expired", "scope")
EVERYBODY = {"owner", "configure", "operate", "view", "user", "stranger"}


class People:
    """A client each, with a token; what they make is theirs."""

    def __init__(self, site):
        self.site = site
        self.ids, self.tokens = {}, {}
        for who in ("owner", "configure", "operate", "view", "user", "stranger", "expired", "scope"):
            client, secret = site.client(f"access {who} {uuid.uuid4()}")
            scope = "openid" if who == "scope" else COMPUTE
            answer = requests.post(site.url + "/v2/oauth2/token", auth=(client, secret), timeout=20,
                                   data={"grant_type": "client_credentials", "scope": scope})
            assert answer.status_code == 200, answer.text
            self.ids[who], self.tokens[who] = client, answer.json()["access_token"]
        self.tokens["none"] = None
        with sqlite3.connect(site.folder / "data" / "ledger.db", timeout=20) as db:
            changed = db.execute("UPDATE auth_tokens SET expires = 1 WHERE identity = ?", (self.ids["expired"],)).rowcount
            assert changed == 1
        db.close()

    def ask(self, who, method, path, body=None):
        token = self.tokens[who]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.request(method, self.site.url + path, json=body, headers=headers, timeout=60)

    def function(self, who="owner", **fields):
        answer = self.ask(who, "POST", "/v3/functions", {"function_name": "f", "serialized": True, "meta": {},
                                                         "function_code": "19\nst\nf:def f(): pass\n", **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()["function_uuid"]

    def endpoint(self, **fields):
        answer = self.ask("owner", "POST", "/v3/endpoints", registration(**fields))
        assert answer.status_code == 200, answer.text
        return answer.json()["endpoint_id"]

    def allow(self, endpoint, who, *role):
        self.site.command("endpoint", "allow", endpoint, self.name(who), *role)

    def name(self, who):
        return f"{self.ids[who]}@clients.auth.globus.org"


def registration(**fields):
    return {"endpoint_name": "e", "metadata": PLACE, "public": False, "high_assurance": False, "multi_user": True,
            **fields}


def tasks(function):
    return {"tasks": {function: [PAYLOAD]}, "create_queue": False}


@pytest.fixture(scope="module")
def people(site):
    return People(site)


@pytest.fixture(scope="module")
def world(people):
    """An endpoint with roles and a list of users, and a task of its owner's."""
    endpoint = people.endpoint()
    for who in ("configure", "operate", "view"):
        people.allow(endpoint, who, who)
    people.allow(endpoint, "user")
    function, public = people.function(), people.function(public=True)
    answer = people.ask("owner", "POST", f"/v3/endpoints/{endpoint}/submit", tasks(function))
    assert answer.status_code == 200, answer.text
    return {"endpoint": endpoint, "function": function, "public": public,
            "task": answer.json()["tasks"][function][0], "group": answer.json()["task_group_id"]}


CONFIGURE = {"owner", "configure"}
OPERATE = CONFIGURE | {"operate"}
VIEW = OPERATE | {"view"}
USE = VIEW | {"user"}
# (method, path, body, who may).  What changes the endpoint comes last, the lock before the deletion.
ROUTES = [
    ("POST", "/v3/functions", {"function_name": "f", "serialized": False, "function_code": "def f(): pass", "meta": {}},
     EVERYBODY),
    ("POST", "/v2/functions", {"function_name": "f", "serialized": False, "function_code": "def f(): pass", "meta": {}},
     EVERYBODY),
    ("GET", "/v2/functions/{function}", None, {"owner"}),
    ("GET", "/v2/functions/{public}", None, EVERYBODY),
    ("POST", "/v3/endpoints", registration(), EVERYBODY),
    ("POST", "/v2/endpoints", registration(), EVERYBODY),
    ("GET", "/v2/endpoints", None, EVERYBODY),
    ("GET", "/v2/endpoints?role=any", None, EVERYBODY),
    ("GET", "/v2/endpoints/{endpoint}", None, EVERYBODY),
    ("GET", "/v2/endpoints/{endpoint}/status", None, EVERYBODY),
    ("GET", "/v3/endpoints/{endpoint}/allowed_functions", None, EVERYBODY),
    ("POST", "/v3/endpoints/{endpoint}/submit", tasks("{public}"), USE),
    ("POST", "/v2/submit", {"tasks": [["{public}", "{endpoint}", PAYLOAD]], "create_websocket_queue": False}, USE),
    ("POST", "/v3/endpoints/{endpoint}/submit", tasks("{function}"), {"owner"}),
    ("POST", "/v3/endpoints/{endpoint}/submit", {**tasks("{public}"), "task_group_id": "{group}"}, {"owner"}),
    ("GET", "/v2/tasks/{task}", None, {"owner"}),
    ("GET", "/v2/taskgroup/{group}", None, {"owner"}),
    ("GET", "/v2/get_amqp_result_connection_url", None, EVERYBODY),
    ("DELETE", "/v2/functions/{public}", None, {"owner"}),
    ("PUT", "/v3/endpoints/{endpoint}", registration(), CONFIGURE),
    ("POST", "/v3/endpoints/{endpoint}/lock", None, OPERATE),
    ("POST", "/v2/endpoints/{endpoint}/lock", None, OPERATE),
    ("DELETE", "/v2/endpoints/{endpoint}", None, CONFIGURE),
]


def filled(value, world):
    text = json.dumps(value)
    for key, one in world.items():
        text = text.replace("{%s}" % key, one)
    return json.loads(text)


def test_every_route_and_everybody(people, world):
    """Refused ones first, so that nobody's right is another's deed; then those who may."""
    missing = []
    for method, path, body, allowed in ROUTES:
        for who in sorted(set(CALLERS) - allowed) + sorted(allowed, reverse=True):
            here = dict(world)
            if method == "DELETE" and who in allowed:  # one each
                here["public"] = people.function(public=True)
                here["endpoint"] = people.endpoint()
                people.allow(here["endpoint"], "configure", "configure")
            answer = people.ask(who, method, filled(path, here), filled(body, here))
            wanted = (200,) if who in allowed else (401,) if who in ("none", "expired") else (403,)
            if answer.status_code not in wanted:
                missing.append((method, path, who, answer.status_code, answer.text[:200]))
            elif wanted != (200,):
                told = answer.json()
                assert told["code"] and told["message"] and uuid.UUID(told["request_id"]), (path, who)
    assert not missing, missing


def test_what_is_shown_depends_on_the_role(people):
    endpoint = people.endpoint()
    for who in ("configure", "operate", "view"):
        people.allow(endpoint, who, who)
    for who in EVERYBODY:
        shown = people.ask(who, "GET", f"/v2/endpoints/{endpoint}").json()
        secrets = {"endpoint_config", "local_user", "metadata"} & set(shown)
        assert bool(secrets) == (who in VIEW), (who, shown)
        assert shown["user_config_template"] == "engine: {{ x }}"


def test_nobody_sees_what_is_anothers(people, world):
    """Lists and batches leave it out without a word."""
    for who in sorted(EVERYBODY - {"owner"}):
        answer = people.ask(who, "POST", "/v2/batch_status", {"task_ids": [world["task"]]})
        assert answer.json()["results"] == {}, who
        for role in ("", "?role=owner"):
            mine = people.ask(who, "GET", f"/v2/endpoints{role}").json()
            assert world["endpoint"] not in [e["uuid"] for e in mine], who
    prefixes = {people.ask(who, "GET", "/v2/get_amqp_result_connection_url").json()["queue_prefix"] for who in EVERYBODY}
    assert len(prefixes) == len(EVERYBODY)


def test_admins_of_the_registration(people):
    """As in the original's config.yaml: they do what the owner may, until they are left out."""
    endpoint = people.endpoint(admins=[people.ids["stranger"]])
    path = f"/v3/endpoints/{endpoint}"
    assert people.ask("user", "PUT", path, registration()).status_code == 403
    assert people.ask("stranger", "PUT", path, registration(admins=[people.ids["stranger"]])).status_code == 200
    assert people.ask("owner", "PUT", path, registration()).status_code == 200
    assert people.ask("stranger", "PUT", path, registration()).status_code == 403


def test_groups(people, site):
    name = f"lab-{uuid.uuid4().hex[:8]}"
    made = json.loads(site.command("group", "add", name, people.name("user"), "--json"))
    group = next(g for g in made if g["name"] == name)
    assert group["members"] == people.name("user")
    function = people.function(group=group["id"])
    endpoint = people.endpoint()
    path = f"/v3/endpoints/{endpoint}/submit"
    site.command("endpoint", "allow", endpoint, f"group:{name}")
    listed = json.loads(site.command("endpoint", "access", endpoint, "--json"))
    assert [(e["who"], e["kind"], e["role"]) for e in listed] == [(name, "group", "use")]
    assert people.ask("user", "GET", f"/v2/functions/{function}").status_code == 200
    assert people.ask("user", "POST", path, tasks(function)).status_code == 200
    for who, code in (("stranger", "ENDPOINT_ACCESS_FORBIDDEN"), ("operate", "ENDPOINT_ACCESS_FORBIDDEN")):
        answer = people.ask(who, "POST", path, tasks(function))
        assert (answer.status_code, answer.json()["code"]) == (403, code), answer.text
        assert people.ask(who, "GET", f"/v2/functions/{function}").status_code == 403
    assert endpoint in [e["uuid"] for e in people.ask("user", "GET", "/v2/endpoints?role=any").json()]
    assert endpoint not in [e["uuid"] for e in people.ask("stranger", "GET", "/v2/endpoints?role=any").json()]
    answer = people.ask("owner", "POST", "/v3/functions", {"function_name": "f", "serialized": False, "meta": {},
                                                           "function_code": "def f(): pass", "group": str(uuid.uuid4())})
    assert (answer.status_code, answer.json()["code"]) == (404, "AUTH_GROUP_NOT_FOUND")
    site.command("endpoint", "deny", endpoint, f"group:{name}")  # nobody is listed: everybody whom the site maps
    site.command("group", "remove", name)
    assert people.ask("user", "GET", f"/v2/functions/{function}").status_code == 403


@pytest.mark.parametrize("words, says", [
    (("endpoint", "allow", "x", "alice@example.org"), "not the id of an endpoint"),
    (("endpoint", "allow", str(uuid.uuid4()), "alice@example.org"), "there is no endpoint"),
    (("endpoint", "allow", str(uuid.uuid4()), "alice@example.org", "rule"), "rule is no role"),
    (("endpoint", "allow", str(uuid.uuid4()), "nobody@example.org"), "there is no user"),
    (("endpoint", "allow", str(uuid.uuid4()), "group:nobody"), "there is no group"),
    (("group", "remove", "nobody"), "there is no group"),
    (("group", "add", "a b"), "letters, digits"),
])
def test_refused_commands(site, words, says):
    with pytest.raises(AssertionError, match=says):
        site.command(*words)


def policy(people, **fields):
    """A policy of somebody who may manage projects; its id."""
    client, secret = people.site.client(f"policy maker {uuid.uuid4()}")
    scope = "openid urn:globus:auth:scope:auth.globus.org:manage_projects"
    token = requests.post(people.site.url + "/v2/oauth2/token", auth=(client, secret), timeout=20,
                          data={"grant_type": "client_credentials", "scope": scope}).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    project = requests.post(people.site.url + "/v2/api/projects", headers=headers, timeout=20, json={
        "project": {"display_name": "p", "contact_email": "a@b.example.org", "admin_ids": [client],
                    "admin_group_ids": []}}).json()["project"]["id"]
    answer = requests.post(people.site.url + "/v2/api/policies", headers=headers, timeout=20, json={
        "policy": {"project_id": project, "display_name": "strict", "description": "d", **fields}})
    assert answer.status_code in (200, 201), answer.text
    return answer.json()["policy"]["id"]


def test_high_assurance(people):
    plain = policy(people)
    strict = policy(people, high_assurance=True, authentication_assurance_timeout=3600)
    for fields, says in (({}, "needs an authentication_policy"),
                         ({"authentication_policy": plain}, "was not made for high assurance"),
                         ({"authentication_policy": str(uuid.uuid4())}, "is not known to this service")):
        answer = people.ask("owner", "POST", "/v3/endpoints", registration(high_assurance=True, **fields))
        assert (answer.status_code, answer.json()["code"]) == (422, "SEMANTICALLY_INVALID")
        assert says in answer.json()["message"]
    endpoint = people.endpoint(high_assurance=True, authentication_policy=strict)
    changed = people.ask("owner", "PUT", f"/v3/endpoints/{endpoint}", registration())
    assert changed.status_code == 422 and "can't be changed" in changed.text
    body = {"function_name": "f", "serialized": False, "function_code": "def f(): pass", "meta": {}}
    made = people.ask("owner", "POST", "/v3/functions", {**body, "ha_endpoint_id": endpoint}).json()
    assert "high-assurance" in made["ha_warning"]
    function = made["function_uuid"]
    ordinary = people.endpoint()
    for fields, code in (({"ha_endpoint_id": ordinary}, 422), ({"ha_endpoint_id": endpoint, "public": True}, 422),
                         ({"ha_endpoint_id": str(uuid.uuid4())}, 404)):
        assert people.ask("owner", "POST", "/v3/functions", {**body, **fields}).status_code == code
    assert people.ask("owner", "POST", f"/v3/endpoints/{endpoint}/submit", tasks(function)).status_code == 200
    answer = people.ask("owner", "POST", f"/v3/endpoints/{ordinary}/submit", tasks(function))
    assert (answer.status_code, answer.json()["code"]) == (403, "FUNCTION_NOT_PERMITTED")
    # The policy is looked at with each submit: a second factor, which a client can't have.
    guarded = people.endpoint(high_assurance=True, authentication_policy=policy(
        people, high_assurance=True, required_mfa=True))
    answer = people.ask("owner", "POST", f"/v3/endpoints/{guarded}/submit", tasks(people.function()))
    assert answer.status_code == 403 and answer.json()["authorization_parameters"]["session_required_mfa"] is True
