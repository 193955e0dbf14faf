"""A configured endpoint for simulate and lint."""

import json
import subprocess

RULES = [{"DATA_TYPE": "expression_identity_mapping#1.0.0",
          "mappings": [{"source": "{username}", "match": "(.*)@example\\.org", "output": "{0}"}]}]


def ids(*names):
    return json.dumps([{"id": f"00000000-0000-4000-8000-{i:012}", "username": n, "status": "used"}
                       for i, n in enumerate(names)])


class Site:
    """site("lint", "site", ...) calls a command for the endpoint `site`, whose files are in .dir."""

    def __init__(self, prefix, folder):
        self.program = prefix / "bin" / "globus-compute-endpoint"
        self.folder = folder
        self.base = folder / "base"
        self.dir = self.base / "site"
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
        done = self("configure", "--multi-user", "true", "--contact-email", "a@b.org", "site")
        assert done.returncode == 0, done
        self.write("map.json", json.dumps(RULES), 0o600)
        self.write("config.yaml", "email: a@b\nidentity_mapping_config_path: map.json\n", 0o600)

    def __call__(self, *argv, stdin="", **environment):
        return subprocess.run([self.program, "-c", self.base, *argv], capture_output=True, text=True,
                              timeout=90, input=stdin, env={**self.environment, **environment})

    def write(self, name, text, mode=0o644):
        path = self.dir / name
        path.write_text(text)
        path.chmod(mode)
        return path
