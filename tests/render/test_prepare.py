"""What prepare hands to a user endpoint, and how it fails: spec endpoint-manager.md 9 and 10."""

import json
import os
import pathlib
import pwd

import pytest


def good(outcome):
    assert outcome.record is None, outcome.record
    assert outcome.code == 0, outcome.stderr
    assert outcome.seen, outcome.stderr
    return outcome.seen


def bad(outcome, code, *says):
    assert outcome.record, outcome.stderr
    assert outcome.record[0] == code == outcome.code, outcome.record
    for text in says:
        assert text in outcome.record[1], outcome.record
    assert not outcome.seen
    return outcome.record


def me(handed):
    return pwd.getpwnam(handed.blob["account"])


def test_what_the_endpoint_gets(handed):
    seen = good(handed.run())
    account = me(handed)
    home = account.pw_dir
    uep = f"{home}/.globus_compute/uep.1"
    env = dict(seen["env"])
    env.pop("LC_CTYPE", None)  # Python's own
    assert env == {
        "PATH": f"{handed.bin}:/usr/bin:/bin",
        "PROBE_OUT": f"{handed.out}/seen",
        "HOME": home,
        "USER": account.pw_name,
        "GLOBUS_COMPUTE_ENDPOINT_NAME": "uep.1",
        "GC_USER_PYTHON_VERSION": "3.11.7",
        "GC_USER_SDK_VERSION": "4.19.0",
        "CWD": home,
        "GLOBUS_COMPUTE_ENDPOINT_DIR": uep,
        "GLOBUS_COMPUTE_LOG_PATH": f"{uep}/endpoint.log",
    }
    assert seen["argv"][-3:] == ["_start-user-endpoint", "uep.1", "--debug"]
    assert set(seen["fds"]) == {"0", "1", "2", "3"}
    assert seen["fds"]["1"] == seen["fds"]["2"] == f"{uep}/endpoint.log"
    assert seen["credentials"] == "token"
    assert seen["cwd"] == home and seen["umask"] == 0o077 and not seen["tty"]
    assert seen["ids"] == [account.pw_uid] * 3 + [account.pw_gid] * 3
    assert seen["blocked"] == 0
    flags = int(seen["log_flags"].split("flags:\t")[1].split()[0], 8)
    assert flags & os.O_APPEND and flags & os.O_SYNC
    log = pathlib.Path(uep) / "endpoint.log"
    first, *rest = log.read_text().splitlines()
    assert first.endswith(f" User endpoint uep.1 starts as {account.pw_name} [request c0ffee]")
    assert "hello log" in rest and log.stat().st_mode & 0o777 == 0o600
    assert pathlib.Path(uep).stat().st_mode & 0o777 == 0o700


def test_document(handed):
    handed.blob["allowed_functions"] = []
    handed.blob["ep_info"] = {"globus_candidate_identities": [{"a": ["b"]}],
                              "globus_matched_identity": "m"}
    handed.blob["user_opts"] = {"who": "Zoë \U0001f600"}
    seen = good(handed.run())
    text = seen["stdin"]
    assert text.isascii() and '", "' not in text and text[-1] == "}"
    document = json.loads(text)
    assert list(document) == ["amqp_creds", "config", "ep_info", "mem_fd", "enckey", "allowed_functions"]
    assert document["ep_info"] == {**handed.blob["ep_info"], "posix_ppid": seen["ppid"]}
    assert document["amqp_creds"] == handed.blob["amqp_creds"]
    assert document["mem_fd"] == 3 and document["enckey"] == handed.blob["enckey"]
    assert document["config"] == ('engine:\n  type: GlobusComputeEngine\n'
                                  'who: "Zo\\u00eb \\U0001f600"')


def test_audit_and_absent_keys(handed):
    handed.audit = True
    seen = good(handed.run())
    assert "audit_fd" not in json.loads(seen["stdin"]) and "4" not in seen["fds"]
    handed.blob["audit"] = True
    seen = good(handed.run())
    document = json.loads(seen["stdin"])
    assert document["audit_fd"] == 4 and "4" in seen["fds"]
    assert "allowed_functions" not in document and "survives_manager" not in document


def test_document_has_no_pipe_limit(handed):
    handed.template = b"engine: {}\nbig: {{ big }}\n"
    handed.blob["user_opts"] = {"big": "x" * 900_000}
    assert len(good(handed.run())["stdin"]) > 900_000


def test_environment_file(handed):
    handed.environment += b"""
N: 5
F: 1.50
Y: yes
Z: null
O: 0755
T: 1:30:00
D: 2020-01-01
L: [1, a, {b: null}]
HOME: /var/tmp
USER: somebody
PWD: /elsewhere
CWD: /usr
GC_USER_SDK_VERSION: mine
GLOBUS_COMPUTE_ENDPOINT_DIR: ~/there
"""
    handed.environment = handed.environment.replace(b"~/there", f"{handed.out}/there".encode())
    handed.blob["user_opts"] = {}
    handed.template = b"engine: {}\nseen: {{ _GC.env.O }} {{ _GC.env.HOME }}\n"
    seen = good(handed.run())
    env = seen["env"]
    assert {k: env[k] for k in "NFYZOTDL"} == {
        "N": "5", "F": "1.5", "Y": "True", "Z": "None", "O": "493", "T": "5400", "D": "2020-01-01",
        "L": "[1, 'a', {'b': None}]"}
    assert (env["HOME"], env["USER"], env["CWD"]) == ("/var/tmp", "somebody", "/usr")
    assert env["PWD"] == "/elsewhere"
    assert env["GC_USER_SDK_VERSION"] == "mine"
    assert env["GLOBUS_COMPUTE_ENDPOINT_DIR"] == f"{handed.out}/there"
    assert json.loads(seen["stdin"])["config"].endswith("seen: 493 /var/tmp")


def test_seed_style_protects_home_user_and_pwd(handed):
    handed.blob["seed_style"] = True
    handed.environment += b"HOME: /x\nUSER: y\nPWD: /usr/lib\n"
    outcome = handed.run()
    seen = good(outcome)
    assert seen["env"]["HOME"] == me(handed).pw_dir and seen["env"]["USER"] == me(handed).pw_name
    assert "PWD" not in seen["env"]
    assert seen["cwd"] == seen["env"]["CWD"] == "/usr/lib"
    for name in ("HOME", "USER", "PWD"):
        assert f"{name} cannot be set" in outcome.stderr


def test_bad_name_in_environment_file_is_a_warning(handed):
    handed.environment += b"BEFORE: 1\n'a=b': 1\nAFTER: 1\n"
    outcome = handed.run()
    env = good(outcome)["env"]
    assert "Using only default environment variables" in outcome.stderr
    assert env["BEFORE"] == "1" and "AFTER" not in env


@pytest.mark.parametrize("text", [b"- list\n", b"A: [\n", b"text", b"\xff"])
def test_bad_environment_file_is_a_warning(handed, text):
    handed.environment = text
    handed.blob["argv"][0] = "nosuch-program"
    outcome = handed.run()
    bad(outcome, 87)
    assert "Using only default environment variables" in outcome.stderr


def test_unprivileged_manager_inherits(handed):
    handed.blob["privileged"] = False
    seen = good(handed.run())
    assert seen["env"]["LEFT"] == "over"
    assert "GLOBUS_COMPUTE_CLIENT_SECRET" not in seen["env"]


def test_default_path_ends_with_the_installation(handed, prefix):
    handed.environment = None
    handed.blob["argv"][0] = "nosuch-program-at-all"
    record = bad(handed.run(), 87, "(FileNotFoundError) nosuch-program-at-all is not on the PATH")
    assert f"/usr/local/bin:/usr/bin:/bin:{prefix}/bin" in record[2]
    assert str(prefix) not in record[1]


def test_paths_of_the_configuration(handed):
    handed.template = (b"engine: {}\npaths:\n  endpoint_dir: ~/over/$USER\n"
                       b"  endpoint_log: ${HOME}/logs/there/it.log\n")
    env = good(handed.run())["env"]
    home = me(handed).pw_dir
    assert env["GLOBUS_COMPUTE_ENDPOINT_DIR"] == f"{home}/over/{me(handed).pw_name}"
    assert env["GLOBUS_COMPUTE_LOG_PATH"] == f"{home}/logs/there/it.log"
    handed.template = b"engine: {}\npaths: {endpoint_dir: /etc/passwd}\n"
    record = bad(handed.run(), 79, "(ValueError)")
    assert "/etc/passwd" not in record[1] and "/etc/passwd" in record[2]
    handed.template = b"engine: {}\npaths: {endpoint_log: /tmp}\n"
    bad(handed.run(), 79, "(ValueError)")
    handed.template = b"engine: {}\npaths: 5\n"
    bad(handed.run(), 79, "(AttributeError)")


def test_debug_shows_the_configuration_in_the_log(handed):
    handed.template = b"engine: {}\ndebug: true\n"
    seen = good(handed.run())
    log = pathlib.Path(seen["fds"]["1"]).read_text()
    assert "Begin Compute endpoint configuration (2 lines):\n  | engine: {}\n  | debug: true" in log


def test_high_assurance(handed):
    handed.blob["high_assurance"] = True
    document = json.loads(good(handed.run())["stdin"])
    assert document["config"].startswith("high_assurance: true\nengine:")
    handed.template += b"high_assurance: true\n"
    bad(handed.run(), 79, "(ValueError) Error generating template; contact endpoint administrator")


def test_includes_when_the_folder_can_be_listed(handed):
    folder = handed.folder / "profile"
    folder.mkdir()
    (folder / "part.yaml").write_text("engine: {}\n")
    (folder / "part.yaml").chmod(0o644)
    folder.chmod(0o755)
    handed.blob["template_path"] = str(folder / "user_config_template.yaml.j2")
    handed.template = b"{% include 'part.yaml' %}\nb: 2\n"
    assert json.loads(good(handed.run())["stdin"])["config"] == "engine: {}\nb: 2"
    if handed.account:
        folder.chmod(0o711)
        bad(handed.run(), 77, "(TypeError) no loader for this environment specified")


def test_schema_and_template_failures(handed):
    handed.schema = b'{"properties": {"w": {"type": "string"}}}'
    handed.blob["user_opts"] = {"w": 5}
    bad(handed.run(), 77, "(ValidationError) 5 is not of type 'string'\n\nFailed validating 'type'")
    handed.schema = b"{"
    bad(handed.run(), 70, "(JSONDecodeError)")
    handed.schema = None
    handed.template = b"engine: {}\na: {{ ACCOUNT }}\n"
    handed.blob["template_path"] = "/nosuch/user_config_template.yaml"
    record = bad(handed.run(), 77, "(UndefinedError) 'ACCOUNT' is undefined")
    assert "user_config_template.yaml:2" in record[2]
    handed.blob["user_opts"] = {"_GC": 1}
    bad(handed.run(), 77, "(ValueError) '_GC' is a reserved word")
    handed.blob["user_opts"] = {}
    handed.template = b"a: b: c"
    bad(handed.run(), 79, "(YAMLError)")
    handed.template = b"- a\n"
    bad(handed.run(), 79, "(AttributeError)", "not a mapping")


def test_codes_are_four_lower_when_nobody_changes(handed):
    handed.blob["privileged"] = False
    handed.template = b"{{ x }}"
    bad(handed.run(), 73, "(UndefinedError)")


def test_limits(handed):
    handed.template = b"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    bad(handed.run(), 77, "(TemplateLimitError)")
    handed.template = b"{{ " + b"(" * 200_000 + b" }}"
    bad(handed.run(), 77)
    handed.template = b"{{ 'x' * 9000000 }}"
    bad(handed.run(), 77, "(TemplateLimitError)")


def test_working_directory(handed):
    handed.environment += b"CWD: /nosuch-folder\n"
    record = bad(handed.run(), 77, "(FileNotFoundError)")
    assert "/nosuch-folder" not in record[1] and "/nosuch-folder" in record[2]


def test_fixed_executable(handed):
    code = 77
    handed.blob["user_endpoint_executable"] = "relative/path"
    bad(handed.run(), code, "(PermissionError)")
    if not handed.account:
        return
    probe = handed.bin / "globus-compute-endpoint"
    handed.blob["user_endpoint_executable"] = str(probe)
    os.chown(probe, handed.account.uid, -1)
    record = bad(handed.run(), code, "(PermissionError)", "not acceptable")
    assert str(probe) in record[2] and str(probe) not in record[1]
    os.chown(probe, 0, -1)
    probe.chmod(0o757)
    bad(handed.run(), code, "(PermissionError)")
    probe.chmod(0o755)
    handed.bin.chmod(0o777)
    bad(handed.run(), code, "(PermissionError)")
    handed.bin.chmod(0o755)
    handed.environment = f"PROBE_OUT: {handed.out}/seen\nPATH: /nowhere\n".encode()
    good(handed.run())


def test_refuses_to_be_somebody_else(handed):
    handed.blob["account"] = "nobody"
    bad(handed.run(), 70, "(PermissionError) failed to start endpoint")
    handed.blob["account"] = "no-such-account"
    bad(handed.run(), 70, "(KeyError)")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"{}", b"\xff" * 10, b'{"name":"../x"}'])
def test_bad_request(handed, raw):
    handed.raw_blob = raw
    bad(handed.run(), 70, "(ValueError) the start request could not be read")


def test_missing_descriptor(handed):
    handed.template = None
    bad(handed.run(), 70, "(OSError)")


def test_variables_of_pam_come_first_when_they_are_wanted(handed):
    handed.inherited["SALLYPORT_PAM_KRB5CCNAME"] = "FILE:/tmp/cache"
    handed.inherited["SALLYPORT_PAM_PATH"] = "/nowhere"
    handed.inherited["SALLYPORT_PAM_"] = "no name"
    assert "KRB5CCNAME" not in good(handed.run())["env"]
    handed.blob["pam_environment"] = True
    env = good(handed.run())["env"]
    assert env["KRB5CCNAME"] == "FILE:/tmp/cache"
    assert env["PATH"] == f"{handed.bin}:/usr/bin:/bin"  # user_environment.yaml wins
    assert not [name for name in env if name.startswith("SALLYPORT")]
