"""A whole site: a manager of either kind with mapped accounts, and SDK users with scripts.

The manager is that of `prefix`; the user endpoints are those of `path[0]`, so a site can be made of
our manager and the Python original's user endpoints, or the other way round.
"""

from __future__ import annotations

import json
import pathlib
import textwrap
from collections.abc import Sequence

from support.accounts import Account, Accounts
from support.sdk import Ran, run_script
from support.stack import Manager, Service


class Site:
    def __init__(self, service: Service, prefix: pathlib.Path, folder: pathlib.Path,
                 accounts: Accounts, python: pathlib.Path, template: str, schema: str = "{}",
                 users: Sequence[str] = ("uaa",), path: Sequence[pathlib.Path] = (),
                 more_rules: Sequence[tuple[str, str]] = ()):
        """`users` are words for accounts; user i is <folder's name>-<i>@example.org.  `path` are the
        folders where the user endpoint's programs are looked for, before /usr/bin."""
        self.service = service
        self.folder = folder
        self.python = python
        self.endpoint_id = ""
        self.clients: list[tuple[str, str]] = []
        self.accounts: list[Account] = [accounts.get(word) for word in users]
        owner = service.client(f"owner of {folder.name}")
        self.manager = Manager(prefix, folder, service.environment(folder, owner))
        self.manager.configure("--multi-user", "true", "--contact-email", "ada@example.org")
        rules = []
        for i, account in enumerate(self.accounts):
            self.add_user(name := f"{folder.name}-{i}@example.org")
            rules.append((name.replace(".", "\\."), account.name))
        self.manager.map_identities(*rules, *more_rules)
        found = next(self.manager.endpoint_folder.glob("user_config_template.yaml*"))
        found.write_text(template)
        self.manager.write("user_config_schema.json", schema)
        folders = [*(path or (prefix / "bin", python.parent)), "/usr/bin", "/bin"]
        self.manager.write("user_environment.yaml", f"PATH: {':'.join(map(str, folders))}\n")

    def add_user(self, name: str) -> int:
        """A user of the service; its number for script()."""
        self.service.user(name)
        self.clients.append(self.service.client(f"scripts of {name}", name))
        return len(self.clients) - 1

    def start(self) -> str:
        self.endpoint_id = self.manager.start()
        return self.endpoint_id

    def run(self, text: str, user: int = 0, timeout: float = 300, python: pathlib.Path | None = None,
            **values: object) -> Ran:
        """Runs a script of that user's with the SDK, from a file: source can be looked up in it."""
        home = self.folder / f"sdk-{user}"
        home.mkdir(exist_ok=True)
        text = textwrap.dedent(text)
        for key, value in {"ENDPOINT": self.endpoint_id, **values}.items():
            text = text.replace(f"<{key}>", str(value))
        script = home / f"script-{len(list(home.glob('script-*')))}.py"
        script.write_text(text)
        environment = self.service.environment(home, self.clients[user])
        if python:  # of an older SDK perhaps, which knows these names only
            environment["FUNCX_SDK_CLIENT_ID"], environment["FUNCX_SDK_CLIENT_SECRET"] = self.clients[user]
        return run_script(script, environment, python=str(python or self.python), timeout=timeout)

    def script(self, text: str, user: int = 0, timeout: float = 300, **values: object) -> Ran:
        return self.run(text, user, timeout, **values).check()

    def measure(self, text: str, user: int = 0, **values: object) -> dict:
        """The last line of the script's output, which is JSON."""
        return json.loads(self.script(text, user, **values).out.strip().splitlines()[-1])

    def stop(self) -> None:
        self.manager.stop()
