"""A whole site for the benchmark: our service, and a manager of either kind with mapped accounts."""

from __future__ import annotations

import pathlib

from direct import CONFIG
from support.accounts import Accounts
from support.site import Site
from support.stack import Service

# Both kinds read the same template.  Hard numbers: nobody idles out while something is measured.
TEMPLATE = CONFIG.format(workers="{{ workers|default(2) }}", encrypted="true",
                         idle="{{ idle|default(120) }}")


def site_of(service: Service, prefix: pathlib.Path, folder: pathlib.Path, accounts: Accounts,
            python: pathlib.Path, users: int = 1) -> Site:
    words = [f"u{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(users)]
    return Site(service, prefix, folder, accounts, python, TEMPLATE, users=words)
