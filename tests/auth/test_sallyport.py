"""sallyport user, client, token, env: before the service runs, beside it, and what they refuse."""

import json
import os
import shlex
import subprocess

import pytest

from support.signin import PASSWORD, Terminal, Visitor


@pytest.fixture
def run(prefix, folder):
    def run(*words, stdin="", code=0):
        done = subprocess.run([prefix / "bin" / "sallyport", *words, "--data", folder / "data"], input=stdin,
                              capture_output=True, text=True, timeout=30, env={"PATH": os.environ["PATH"]})
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr
    return run


def test_users_before_the_service_runs(run, folder):
    made = json.loads(run("user", "add", "Alice@Example.org", "--name", "Alice Liddell", "--password-stdin",
                          "--json", stdin=PASSWORD + "\n"))
    assert made["username"] == "alice@example.org" and made["name"] == "Alice Liddell" and not made["admin"]
    run("user", "add", "robot", "--no-password", "--admin", "--link", "alice@example.org")
    users = {u["username"]: u for u in json.loads(run("user", "list", "--json"))}
    assert set(users) == {"alice@example.org", "robot@localhost"}
    assert users["robot@localhost"]["identity_set"] == users["alice@example.org"]["identity_set"]
    assert users["robot@localhost"]["admin"] and not users["alice@example.org"]["admin"]
    run("user", "link", "robot", "--alone")
    run("user", "admin", "robot", "--off")
    run("user", "disable", "robot")
    robot = {u["username"]: u for u in json.loads(run("user", "list", "--json"))}["robot@localhost"]
    assert robot["disabled"] and not robot["admin"]
    assert robot["identity_set"] != users["alice@example.org"]["identity_set"]
    run("user", "remove", "robot")
    assert "robot" not in run("user", "list")
    assert (folder / "data" / "ledger.db").stat().st_mode & 0o077 == 0
    assert PASSWORD.encode() not in (folder / "data" / "ledger.db").read_bytes()


@pytest.mark.parametrize("words, stdin, says", [
    (["user", "add", "x y", "--no-password"], "", "blank"),
    (["user", "add", "a@b@c", "--no-password"], "", "name@domain"),
    (["user", "add", "x", "--password-stdin"], "", "standard input is empty"),
    (["user", "add", "x", "--password-stdin"], "short\n", "at least 8"),
    (["user", "add", "x", "--no-password", "--link", "nobody"], "", "there is no user"),
    (["user", "remove", "nobody"], "", "there is no user"),
    (["user", "passwd", "nobody", "--password-stdin"], "long enough\n", "there is no user"),
    (["client", "remove", "nobody"], "", "there is no client"),
    (["client", "add", "x", "--secret-stdin"], "short\n", "at least 24"),
    (["client", "add", "x", "--as", "nobody"], "", "there is no user"),
    (["token", "revoke", "nobody"], "", "there is no user"),
])
def test_refused(run, words, stdin, says):
    assert says in run(*words, stdin=stdin, code=1)


def test_usage_errors(run):
    run("user", "add", code=2)
    run("user", "link", "x", code=2)
    run("client", "add", "x", "--native", "--as", "y", code=2)
    run("env", "--way", "telepathy", code=2)
    run("env", "--url", "http://x;rm -rf", code=2)


def test_password_on_a_terminal(prefix, folder):
    """Asked twice, never shown."""
    argv = [str(prefix / "bin" / "sallyport"), "user", "add", "typist", "--data", str(folder / "data")]
    terminal = Terminal(argv, {"PATH": os.environ["PATH"]})
    try:
        terminal.until("password: ")
        terminal.type(PASSWORD)
        terminal.until("again: ")
        terminal.type(PASSWORD)
        assert terminal.end() == 0
        assert PASSWORD not in terminal.out and "has been added" in terminal.out
    finally:
        terminal.close()
    terminal = Terminal([*argv[:3], "other", *argv[4:]], {"PATH": os.environ["PATH"]})
    try:
        terminal.until("password: ")
        terminal.type(PASSWORD)
        terminal.until("again: ")
        terminal.type(PASSWORD + "x")
        assert terminal.end() == 1 and "the two differ" in terminal.out
    finally:
        terminal.close()


def test_changes_reach_the_running_service(site):
    site.command("user", "add", "carol@example.org", "--password-stdin", stdin=PASSWORD + "\n")
    visitor = Visitor(site.url)
    token = visitor.tokens("carol@example.org")["funcx_service"]["access_token"]
    held = json.loads(site.command("token", "list", "carol@example.org", "--json"))
    assert len(held) == 1 and held[0]["tokens"] == 4 and held[0]["username"] == "carol@example.org"
    site.command("user", "passwd", "carol@example.org", "--password-stdin", stdin="quite another one\n")
    assert json.loads(site.command("token", "list", "carol@example.org", "--json")) == []
    assert visitor.get("/v2/endpoints", token).status_code == 401  # this one was never looked at before
    fresh = Visitor(site.url)
    assert fresh.sign_in("carol@example.org").status_code == 403
    assert fresh.sign_in("carol@example.org", "quite another one").status_code == 303
    site.command("user", "disable", "carol@example.org")
    closed = Visitor(site.url).sign_in("carol@example.org", "quite another one")
    assert closed.status_code == 403 and "closed" in closed.text
    site.command("user", "remove", "carol@example.org")


def test_client_lines_are_a_shell_script(run):
    text = run("client", "add", "script")
    done = subprocess.run(["sh", "-c", text + "\nenv"], capture_output=True, text=True, timeout=10)
    names = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert len(names["GLOBUS_COMPUTE_CLIENT_ID"]) == 36 and names["GLOBUS_COMPUTE_CLIENT_SECRET"].startswith("S")
    assert names["GLOBUS_COMPUTE_CLIENT_SECRET"] not in run("client", "list", "--json")
    native = json.loads(run("client", "add", "viewer", "--native", "--redirect-uri", "https://v.example.org/", "--json"))
    assert "client_secret" not in native
    assert "viewer" in run("client", "list")


@pytest.mark.parametrize("words, wanted", [
    ([], {"GLOBUS_SDK_ENVIRONMENT": "local", "GLOBUS_SDK_SERVICE_URL_AUTH": "http://localhost:5000/"}),
    (["--url", "http://login1:8080/"], {"GLOBUS_SDK_ENVIRONMENT": "local",
                                        "GLOBUS_SDK_SERVICE_URL_AUTH": "http://login1:8080/",
                                        "http_proxy": "http://login1:8080"}),
    (["--url", "https://c.example.org", "--ca", "/etc/ca.pem", "--proxy", "http://c.example.org:5080"],
     {"GLOBUS_SDK_SERVICE_URL_AUTH": "https://c.example.org/", "GLOBUS_SDK_VERIFY_SSL": "/etc/ca.pem",
      "SSL_CERT_FILE": "/etc/ca.pem", "https_proxy": "http://c.example.org:5080", "no_proxy": "c.example.org"}),
])
def test_env(run, words, wanted):
    lines = run("env", *words)
    shell = f"{lines}\nfor n in {' '.join(map(shlex.quote, wanted))}; do eval echo \"$n=\\$$n\"; done"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=10,
                          env={"PATH": os.environ["PATH"], "no_proxy": "localhost"})
    assert dict(line.split("=", 1) for line in done.stdout.splitlines()) == wanted
    assert {k: v for k, v in json.loads(run("env", *words, "--json")).items() if v is not None} == wanted


def test_env_of_a_running_service(site):
    assert f"http://localhost:{site.port}/" in site.command("env")
