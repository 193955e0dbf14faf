"""A service whose log tells every request, some users, and the original's command line."""

import pathlib
import re
import sys

import pytest

from support.rabbit import why_not as no_rabbit
from support.signin import PASSWORD, Visitor
from support.stack import Service


@pytest.fixture(scope="session")
def site(prefix, session_folder):
    """Its log has a line for each request: site.requests()."""
    if not (prefix / "bin" / "sallyport").exists():
        pytest.skip("bin/sallyport is not installed")
    if reason := no_rabbit():
        pytest.skip(reason)
    with Service(prefix, session_folder / "auth", "--debug") as running:
        for name in ("alice@example.org", "bob@example.org", "eve@example.org", "root@example.org"):
            running.command("user", "add", name, "--password-stdin", *(["--admin"] if "root" in name else []),
                            stdin=PASSWORD + "\n")
        yield running


class Requests:
    """What the service was asked since this began."""

    def __init__(self, service: Service):
        self._service = service
        self._begin = len(service.output())

    def __call__(self) -> list[tuple[str, str, int]]:
        new = self._service.output()[self._begin:]
        return [(m, p, int(s)) for m, p, s in
                re.findall(r"request=\S+ (\S+) (\S+) status=(\d+)", new) if not p.startswith("/v2/version?")]


@pytest.fixture
def asked(site):
    return Requests(site)


@pytest.fixture
def visitor(site):
    return Visitor(site.url)


@pytest.fixture
def user_environment(site, folder):
    """A shell of a user who has not signed in (recipe B)."""
    environment = site.environment(folder, None)
    # The sign-in page has to be reachable by the address that the program prints.
    environment["GLOBUS_SDK_SERVICE_URL_AUTH"] = site.url + "/"
    environment["TERM"] = "dumb"
    return environment


@pytest.fixture(scope="session")
def original():
    """The original's command line, beside the Python that runs the tests."""
    path = pathlib.Path(sys.executable).parent / "globus-compute-endpoint"
    if not path.exists():
        pytest.skip("globus-compute-endpoint of PyPI is not installed beside this Python")
    return str(path)
