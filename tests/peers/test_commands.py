"""Generated command lines and endpoint folders, to the original and to ours: what is printed, the exit
code, and the files that are left.  tests/cli has the listed cases."""

import json
import os
import pathlib
import re
import shutil
import tempfile

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("globus_compute_endpoint", reason="the Python original is not installed beside this Python")

import forked  # noqa: E402
from differences import intended  # noqa: E402
from support.long import ALL  # noqa: E402

UUID = "5f0c7b1e-5ad4-4e0d-9c55-7a1b64a1d0ff"
TEXTS = st.one_of(
    st.text(st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10),
    st.sampled_from(["a b", "yes", "null", "1e3", "- a", "a: b", "#x", "'", '"', "{{ x }}", "é", "None", "-", "x" * 300]))
IDS = st.one_of(st.just(UUID), st.just(UUID.upper()), TEXTS)
NAMES = st.sampled_from(["ep", "my-endpoint", "a.b", "with blank", "a/b", "..", ".", "é", "", "default",
                         UUID, "x" * 300, "-x", "a\\b", "ep\n", " ep"])
PATHS = st.sampled_from(["there.yaml", "absent.yaml", ".", "there.json"])


def settings_of(count: int):
    return settings(max_examples=count * 10 if ALL else count, deadline=None, database=None,
                    derandomize=not ALL,
                    suppress_health_check=list(HealthCheck))


class Base:
    """A base directory made twice, and a command for each."""

    def __init__(self, prefix: pathlib.Path):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-test-", dir="/var/tmp"))
        self.prefix = prefix
        self.homes = {kind: self.folder / kind / "site" / "home" for kind in ("ours", "original")}
        for home in self.homes.values():
            (home / "base").mkdir(parents=True, mode=0o700)
            (home / "base").chmod(0o700)
            (home / "there.yaml").write_text("display_name: mine\n")
            (home / "there.json").write_text("{}\n")

    def environment(self, kind: str) -> dict[str, str]:
        home = self.homes[kind]
        return {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "COLUMNS": "100",
                "GLOBUS_COMPUTE_USER_DIR": str(home / "base"), "GLOBUS_SDK_ENVIRONMENT": "local",
                "GLOBUS_SDK_SERVICE_URL_AUTH": "http://localhost:5000/", "http_proxy": "http://127.0.0.1:9"}

    def run(self, argv: list[str]) -> tuple[forked.Said, forked.Said]:
        said = (forked.ours(self.prefix / "bin" / "globus-compute-endpoint", argv, self.environment("ours"),
                            self.homes["ours"]),
                forked.original(argv, self.environment("original"), self.homes["original"]))
        for kind, one in zip(self.homes, said):
            one.out, one.err = (self.plain(text, kind) for text in (one.out, one.err))
        return said

    def plain(self, text: str, kind: str) -> str:
        """Without folders, times, the prefix of log lines, and line breaks."""
        text = text.replace(str(self.homes[kind]), "HOME")
        text = re.sub(r"\S+/python[0-9.]*: ", "PYTHON: ", text)
        intended("wrong words", "python-exec")
        text = text.replace("MODULE [ARGS]...", "MODULE")
        intended("wrong words", "guesses")
        text = re.sub(r" (Did you mean \S+\?|\(Possible options: [^)]*\))", "", text)
        text = re.sub(r"(\x1b\[[0-9;]*m)?\d{4}-\d\d-\d\d [\d:,.]+ (\w+) \S+ \S+ \S+ \S+ ", r"\2 ", text)
        return re.sub(r"\s+", " ", text).strip()

    def tree(self, kind: str) -> dict[str, tuple]:
        """Mode and content of all that is below the base directory."""
        base = self.homes[kind] / "base"
        found = {}
        for path in sorted(base.rglob("*")):
            mode = path.lstat().st_mode
            text = path.read_text().replace(str(self.homes[kind]), "HOME") if path.is_file() else None
            found[str(path.relative_to(base))] = (oct(mode), text)
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)


def compare(argv, said, kinds=("code", "out", "err")):
    mine, his = said
    for kind in kinds:
        a, b = getattr(mine, kind), getattr(his, kind)
        assert a == b, f"{argv}: {kind}\nours:     {mine}\noriginal: {his}"


# ---- configure -----------------------------------------------------------------------------------

OPTION = st.one_of(
    st.tuples(st.just("--display-name"), TEXTS), st.tuples(st.just("--contact-email"), TEXTS),
    st.tuples(st.just("--auth-policy"), IDS), st.tuples(st.just("--subscription-id"), IDS),
    st.just(("--high-assurance",)),
    st.tuples(st.sampled_from(["--core-config", "--manager-config", "--template-config", "--schema-config",
                               "--user-env-config", "--id-mapping-config"]), PATHS),
    st.tuples(st.just("--auth-timeout"), st.sampled_from(["-1", "x"])),
)
DEFAULTS = {"--template-config": "user_config_template.yaml.j2", "--schema-config": "user_config_schema.json",
            "--user-env-config": "user_environment.yaml", "--id-mapping-config": "example_identity_mapping_config.json"}


def own_texts_left_out(tree: dict[str, tuple], argv: list[str]) -> dict[str, tuple]:
    intended("configure", "texts of the default files")
    own = {name for option, name in DEFAULTS.items() if option not in argv}
    return {path: (mode, None if pathlib.Path(path).name in own else content)
            for path, (mode, content) in tree.items()}


def document(name: str, text: str | None):
    """What a file means, keys in their order."""
    if not text or not name.endswith("/config.yaml"):
        return text
    intended("configure", "quotes of YAML in `config.yaml`")
    try:
        return json.dumps(yaml.safe_load(text))
    except yaml.YAMLError:
        return text


CONFIGURE = st.tuples(
    st.sampled_from(["true", "false", "1", "OFF"]), st.lists(OPTION, max_size=3, unique_by=lambda o: o[0]),
    NAMES).map(lambda t: ["configure", "--multi-user", t[0], *(w for option in t[1] for w in option), "--", t[2]])


@pytest.mark.timeout(600)
@settings_of(40)
@given(CONFIGURE)
def test_configure(prefix, argv):
    with Base(prefix) as base:
        said = base.run(argv)
        if said[1].code == 1 and base.tree("original") and not base.tree("ours"):
            intended("configure", "what fails leaves no directory")
            assert said[0].code == 1 and said[0].err.startswith("Error: "), said
            return
        if said[1].code == 0 and re.search("(authentication_policy|subscription_id) .*badly formed", said[0].err):
            intended("configure", "an id that is no UUID")
            return
        if all("Error: Invalid value for" in one.err for one in said):
            intended("wrong words", "which of two wrong values")
            compare(argv, said, ("code", "out"))
            return
        compare(argv, said)
        mine, his = (own_texts_left_out(base.tree(kind), argv) for kind in ("ours", "original"))
        assert mine.keys() == his.keys(), argv
        for name in mine:
            assert mine[name][0] == his[name][0], f"{argv}: mode of {name}"
            assert document(name, mine[name][1]) == document(name, his[name][1]), f"{argv}: {name}"


# ---- list ----------------------------------------------------------------------------------------

FOLDERS = st.lists(st.fixed_dictionaries({
    "name": st.sampled_from(["ep", "another", "with blank", "é", "x" * 60, ".hidden", "a.b"]),
    "config": st.sampled_from([None, "", "display_name: null\n", "multi_user: true\n", "a: [\n", "engine:\n"]),
    "id": st.sampled_from([None, "", "{", "{}", json.dumps({"endpoint_id": UUID}), "[]"]),
    "pid": st.sampled_from([None, "", "x", "1", "999999999", "-1"]),
    "age": st.sampled_from([0, 10, 100000]),
}), max_size=3, unique_by=lambda f: f["name"])


def make(folder: pathlib.Path, found: list[dict]) -> None:
    for one in found:
        made = folder / one["name"]
        made.mkdir()
        for key, name in (("config", "config.yaml"), ("id", "endpoint.json"), ("pid", "daemon.pid")):
            if one[key] is not None:
                (made / name).write_text(one[key])
        if one["pid"] is not None:
            then = (made / "daemon.pid").stat().st_mtime - one["age"]
            os.utime(made / "daemon.pid", (then, then))


@pytest.mark.timeout(600)
@settings_of(40)
@given(FOLDERS)
def test_list(prefix, found):
    with Base(prefix) as base:
        for home in base.homes.values():
            make(home / "base", found)
        said = base.run(["list"])
        compare(["list", found], said, ("code", "out"))
        intended("list", "words of warnings")
        mine, his = (one.err.count("WARNING") for one in said)
        assert mine == his, f"{found}: {said}"


# ---- wrong words ---------------------------------------------------------------------------------

WORDS = st.one_of(
    st.sampled_from(["--force", "--yes", "--help", "-x", "--", "--multi-user", "--endpoint-uuid", "-c", "absent",
                     "--detach", "--debug", "--no-color", "--log-to-console", "--gzip", "--log-kb", "x", "-1", "-h",
                     "--linked-identities", "--remote", UUID, "--display-name=x", "--yes=1", "--nonsense"]), NAMES)
COMMANDS = st.sampled_from(["version", "list", "stop", "delete", "start", "restart", "configure", "logout",
                            "enable-on-boot", "disable-on-boot", "migrate-to-template-capable", "nonsense", "lis",
                            "render-user-config", "python-exec", ""])


def says_help(argv) -> bool:
    return bool({"--help", "-h"} & set(argv))


@pytest.mark.timeout(600)
@settings_of(60)
@given(st.tuples(COMMANDS, st.lists(WORDS, max_size=3)).map(lambda t: [t[0], *t[1]]).filter(
    lambda argv: not says_help(argv)))
def test_words(prefix, argv):
    """On an empty base directory nothing that is named exists: everything is refused, or does nothing."""
    with Base(prefix) as base:
        said = base.run(argv)
        if "unexpected extra argument" in said[0].err and said[1].code == 1 and (
                intended("wrong words", "one too many beside a name that is not there")):
            compare(argv, said, ("out",))
        elif {".", ".."} & set(argv) and intended("wrong words", "`.` as a name"):
            compare(argv, said, ("code",))
        else:
            compare(argv, said)
