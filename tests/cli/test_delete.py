"""delete, as the web service answers this or that."""

import pytest

ID = "5f0c7b1e-5ad4-4e0d-9c55-7a1b64a1d0ff"
STATUS = ("GET", f"/v2/endpoints/{ID}/status")
DELETE = ("DELETE", f"/v2/endpoints/{ID}")
REFUSED = {"status": "Failed", "code": 18, "reason": "locked", "http_status_code": 423}


@pytest.fixture
def two(ours, original):
    """The same endpoint for both."""
    return [program.endpoint("ep", ID) for program in (ours, original)]


def test_never_registered_needs_no_network(both, ours, original, fake):
    folders = [program.endpoint("ep") for program in (ours, original)]
    said = both("delete", "--yes", "ep")
    assert said.code == 0 and "> Endpoint BASE/ep has been deleted from BASE/ep" in said.err
    assert not any(folder.exists() for folder in folders)
    assert fake.seen == []


@pytest.mark.parametrize("answer", ["n\n", "", "\n"], ids=["no", "end of input", "default"])
def test_asks_first(both, two, answer):
    said = both("delete", "ep", stdin=answer)
    assert said.code == 1 and "delete endpoint < ep >? [y/N]:" in said.out
    assert all(folder.exists() for folder in two)


def test_offline_is_deleted(both, two, fake, credentials):
    fake.answers = {STATUS: (200, {"status": "offline"}), DELETE: (200, {"result": 302})}
    said = both("delete", ID, stdin="y\n", **credentials)
    assert said.code == 0 and f"( {ID} )" in said.out
    assert not any(folder.exists() for folder in two)


def test_online_is_not(both, two, fake, credentials):
    fake.answers = {STATUS: (200, {"status": "online"}), DELETE: (200, {"result": 302})}
    assert both("delete", "--yes", "ep", **credentials).code == 255
    assert all(folder.exists() for folder in two)
    assert both("delete", "--yes", "--force", "ep", **credentials).code == 0
    assert not any(folder.exists() for folder in two)


def test_refusal_keeps_the_directory(both, two, fake, credentials):
    fake.answers = {STATUS: (200, {"status": "offline"}), DELETE: (423, REFUSED)}
    said = both("delete", "--yes", "ep", same=("code", "out"), **credentials)
    assert said.code == 69 and "Exiting without deleting the local endpoint" in said.err
    assert "locked" in said.err and "could not be deleted from the web service: [" in said.err
    assert all(folder.exists() for folder in two)
    assert both("delete", "--yes", "--force", "ep", same=("code", "out"), **credentials).code == 0
    assert not any(folder.exists() for folder in two)


def test_no_network(ours, credentials):
    folder = ours.endpoint("ep", ID)
    said = ours("delete", "--yes", "ep", timeout=110, http_proxy="http://127.0.0.1:9", **credentials)
    assert said.code == 75 and "unable to reach the Globus Compute service" in said.out
    assert folder.exists()


def test_unknown_here(both, fake, credentials):
    said = both("delete", "--yes", ID, **credentials)
    assert said.code == 1 and "Please add the --force flag" in said.err
    fake.answers = {STATUS: (200, {"status": "offline"}), DELETE: (200, {"result": 302})}
    said = both("delete", "--yes", "--force", ID, **credentials)
    assert said.code == 0 and f"> Endpoint {ID} has been deleted from the web service" in said.err


def test_unreadable_configuration(both, ours, original):
    folders = [program.endpoint("ep", config="a: [\n") for program in (ours, original)]
    assert both("delete", "--yes", "ep").code == 1
    assert both("delete", "--yes", "--force", "ep", same=("code", "out")).code == 0
    assert not any(folder.exists() for folder in folders)


def test_a_link_in_the_directory_is_not_followed(ours, folder):
    kept = folder / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    (ours.endpoint("ep") / "link").symlink_to(kept)
    assert ours("delete", "--yes", "ep").code == 0
    assert (kept / "file").exists()
