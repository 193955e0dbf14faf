"""A whole site for the benchmark: our service, and a manager of either kind with mapped accounts."""

from __future__ import annotations

import json
import pathlib
import textwrap

from direct import CONFIG
from support.accounts import Accounts
from support.sdk import Ran, run_script
from support.stack import Manager, Service

# Both kinds read the same template.  Hard numbers: nobody idles out while something is measured.
TEMPLATE = CONFIG.format(workers="{{ workers|default(2) }}", encrypted="true",
                         idle="{{ idle|default(120) }}")


class Site:
    def __init__(self, service: Service, prefix: pathlib.Path, folder: pathlib.Path,
                 accounts: Accounts, python: pathlib.Path, users: int = 1):
        self.service = service
        self.folder = folder
        self.python = python
        self.clients = []
        self.accounts = [accounts.get(f"u{chr(97 + i // 26)}{chr(97 + i % 26)}") for i in range(users)]
        owner = service.client(f"owner of {folder.name}")
        self.manager = Manager(prefix, folder, service.environment(folder, owner))
        self.manager.configure("--multi-user", "true", "--contact-email", "ada@example.org")
        rules = []
        for i, account in enumerate(self.accounts):
            name = f"{folder.name}-{i}@example.org"
            service.user(name)
            self.clients.append(service.client(f"scripts of {name}", name))
            rules.append((name.replace(".", "\\."), account.name))
        self.manager.map_identities(*rules)
        template = next(self.manager.endpoint_folder.glob("user_config_template.yaml*"))
        template.write_text(TEMPLATE)
        (self.manager.endpoint_folder / "user_config_schema.json").write_text("{}")
        self.manager.write("user_environment.yaml",
                           f"PATH: {prefix}/bin:{python.parent}:/usr/bin:/bin\n")

    def start(self) -> str:
        self.endpoint_id = self.manager.start()
        return self.endpoint_id

    def script(self, text: str, user: int = 0, timeout: float = 300, **values: object) -> Ran:
        """Runs a script of that user's with the SDK; its last line is JSON."""
        home = self.folder / f"sdk-{user}"
        home.mkdir(exist_ok=True)
        text = textwrap.dedent(text)
        for key, value in {"ENDPOINT": self.endpoint_id, **values}.items():
            text = text.replace(f"<{key}>", str(value))
        return run_script(text, self.service.environment(home, self.clients[user]),
                          python=str(self.python), timeout=timeout).check()

    def measure(self, text: str, user: int = 0, **values: object) -> dict:
        return json.loads(self.script(text, user, **values).out.strip().splitlines()[-1])

    def stop(self) -> None:
        self.manager.stop()
