"""Everything at once: service, broker, manager, local accounts, user endpoints, the unmodified SDK."""

import pathlib
import shutil
import sys

import pytest

from support.stack import Manager

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="session")
def site(prefix, service, accounts, session_folder):
    """A running multi-user endpoint: ada and bob of example.org have accounts, nobody else has."""
    client = service.client("site administrator")
    folder = session_folder / "site"
    with Manager(prefix, folder, service.environment(folder, client)) as manager:
        manager.configure()
        manager.map_identities(*[(rf"{who}@example\.org", accounts.get(who).name) for who in ("ada", "bob")],
                               ("gone@example\\.org", "sallyport-nobody-has-this-name"))
        shutil.copy(EXAMPLES / "site" / "polaris_template.yaml",
                    manager.endpoint_folder / "user_config_template.yaml")
        template = manager.endpoint_folder / "user_config_template.yaml"
        template.write_text(template.read_text().replace("{{ ACCOUNT_ID }}", "{{ ACCOUNT_ID|default() }}"))
        manager.write("user_environment.yaml",
                      f"PATH: {prefix}/bin:{pathlib.Path(sys.executable).parent}:/usr/bin:/bin\n"
                      "SITE_SAYS: hello\n")
        manager.write("user_config_schema.json", {
            "type": "object", "properties": {"NODES_PER_BLOCK": {"type": "integer", "maximum": 4}}})
        manager.endpoint_id = manager.start()
        yield manager


@pytest.fixture(scope="session")
def user(service, session_folder):
    """The environment of a user of the service, with credentials of a program of that user."""
    made = {}

    def get(name):
        if name not in made:
            address = f"{name}@example.org"
            service.user(address)
            folder = session_folder / f"sdk of {name}"
            folder.mkdir()
            made[name] = service.environment(folder, service.client(f"scripts of {name}", address))
        return made[name]

    return get
