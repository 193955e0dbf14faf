"""login, logout and whoami."""

import json
import re
import sqlite3
import urllib.parse

from support.fake_service import ADA, ADA_TOO


def test_who_am_i_without_a_login(both):
    assert both("whoami").code == 1


def test_who_am_i(both, ours, credentials):
    said = both("whoami", **credentials)
    assert said.code == 0 and "ada@example.org" in said.out
    both("whoami", "--linked-identities", **credentials)
    both("whoami", "--linked-identities", COLUMNS="70", **credentials)
    listed = json.loads(ours("whoami", "--linked-identities", "--json", **credentials).out)
    assert [one["id"] for one in listed] == [ADA, ADA_TOO]
    assert listed[1] == {"id": ADA_TOO, "username": "countess@analytical-engines.example.com",
                         "name": None, "email": None}


def test_wrapped_table_is_drawn_alike(ours, original, credentials):
    words = ["whoami", "--linked-identities"]
    assert ours(*words, COLUMNS="70", **credentials).out == original(*words, COLUMNS="70", **credentials).out


def test_who_am_i_refused_by_auth(ours, fake, credentials):
    fake.refuse_tokens = True
    said = ours("whoami", **credentials)
    assert said.code == 1 and said.err == "Error: Unable to retrieve user information. Please log in again.\n"


def test_secret_without_id(both):
    for command in ("whoami", "login", "logout"):
        said = both(command, GLOBUS_COMPUTE_CLIENT_SECRET="x", same=("code", "out"))
        assert said.code == 1
        assert "Both GLOBUS_COMPUTE_CLIENT_ID and GLOBUS_COMPUTE_CLIENT_SECRET must be set" in said.err


def test_client_login_stores_tokens(both, ours, credentials):
    assert both("login", "--force", **credentials).code == 0
    store = ours.base / "storage.db"
    assert store.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(store) as db:
        rows = db.execute("select namespace, resource_server from token_storage order by 2").fetchall()
    namespace = f"clientprofile/local/{credentials['GLOBUS_COMPUTE_CLIENT_ID']}"
    assert rows == [(namespace, "auth.globus.org"), (namespace, "funcx_service")]


def test_logout_revokes_and_forgets(ours, fake, credentials):
    ours("login", "--force", **credentials)
    fake.seen.clear()
    said = ours("logout", **credentials)
    assert said.code == 0
    assert said.err == "> Logout succeeded and all cached credentials were revoked\n"
    assert fake.seen.count(("POST", "/v2/oauth2/token/revoke")) == 2
    with sqlite3.connect(ours.base / "storage.db") as db:
        assert db.execute("select count(*) from token_storage").fetchone() == (0,)


def test_logout_while_endpoints_run(both, ours, original, credentials):
    for program in (ours, original):
        program.endpoint("busy", "5f0c7b1e-5ad4-4e0d-9c55-7a1b64a1d0ff", pid_age=1)
        program.endpoint("idle", "5f0c7b1e-5ad4-4e0d-9c55-7a1b64a1d0fe")
    said = both("logout", **credentials)
    assert said.code == 0 and "currently running: busy" in said.err
    assert "succeeded" in ours("logout", "--force", **credentials).err


def test_login_asks_a_person(ours, original):
    urls = []
    for program in (ours, original):
        said = program("login", stdin="")
        assert said.code == 1 and said.err.strip().endswith("Aborted!")
        assert re.match(r"\nPlease authenticate with Globus here:\n-{36,37}\n", said.out), said.out
        assert said.out.endswith("Enter the resulting Authorization Code here: ")
        url = urllib.parse.urlsplit(re.search(r"http\S+", said.out)[0])
        urls.append((url.path, sorted(urllib.parse.parse_qs(url.query))))
    assert urls[0] == urls[1]


def test_diagnostic_has_no_credentials(ours, folder, credentials):
    ep = ours.endpoint("ep", config="display_name: mine\n")
    (ep / "user_environment.yaml").write_text("# tokens\nAPI_TOKEN: s3cr3t\nPATH: /opt/bin:/bin\n")
    (ep / "endpoint.log").write_text("x\n" * 5000 + "connected to amqp://user:s3cr3t@host/\n")
    said = ours("self-diagnostic", "--log-kb", "1", **credentials)
    assert said.code == 0
    assert "s3cr3t" not in said.out and "a-secret" not in said.out
    for phrase in ("== Diagnostic: uname -a ==", "display_name: mine", "API_TOKEN: *", "PATH: /opt/bin:/bin",
                   "connected to amqp://", "min_ep_version", "ada@example.org", "Initialized"):
        assert phrase in said.out, phrase
    assert said.out.count("\n | x") < 1000

    said = ours("self-diagnostic", "-z", **credentials)
    assert said.code == 0
    name = re.search(r"Successfully created (\S+)", said.out)[1]
    made = ours.base.parent / name
    assert made.stat().st_mode & 0o777 == 0o600
    import gzip

    assert "== Diagnostic: uname -a ==" in gzip.decompress(made.read_bytes()).decode()
