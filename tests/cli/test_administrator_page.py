"""docs/administrator.md tells of each key below `sallyport:`, with its default."""

import pathlib
import re

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
UNSET = {"minimum_uid": "`UID_MIN` of `/etc/login.defs`", "user_endpoint_executable": "found on `PATH`",
         "listener_user": "`nobody`"}


@pytest.fixture(scope="module")
def page():
    path = SOURCE / "docs" / "administrator.md"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    section = path.read_text().split("## Our keys")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.M))


def test_page_and_table_agree(page):
    code = (SOURCE / "src" / "lib" / "config" / "fields.c").read_text()
    kinds = dict(re.findall(r'\{"(\w+)", FIELD_(\w+), GROUP_OURS', code))
    assert set(page) == set(kinds)
    body = code.split("void config_defaults")[1].split("\n}")[0]
    values = dict(re.findall(r"c->(\w+) = (.*);", body))
    for key, kind in kinds.items():
        otherwise = {"BOOL": "false", "INT": "0"}.get(kind, "none")
        assert page[key] == UNSET.get(key, values.get(key, otherwise)), key
