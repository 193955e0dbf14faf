"""A site's own CA and certificates of it, as docs/connecting.md tells it."""

from __future__ import annotations

import pathlib
import subprocess

NAMES = ("compute.api.globus.org", "auth.globus.org", "localhost")


class Authority:
    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Site CA",
                      "-keyout", "ca.key", "-out", "ca.pem")
        self.pem = folder / "ca.pem"

    def _openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60, cwd=self.folder)

    def sign(self, name: str, *hosts: str) -> tuple[pathlib.Path, pathlib.Path]:
        """Certificate and key."""
        text = ",".join([f"DNS:{h}" for h in hosts or NAMES] + ([] if hosts else ["IP:127.0.0.1"]))
        (self.folder / "names").write_text(f"subjectAltName={text}\nextendedKeyUsage=serverAuth\n")
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={(hosts or ('localhost',))[0]}",
                      "-keyout", f"{name}.key", "-out", f"{name}.csr")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", "30", "-extfile", "names", "-out", f"{name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def expired(self, name: str) -> pathlib.Path:
        """A certificate of yesterday for the key NAME.key."""
        config = self.folder / "ca.cnf"
        (self.folder / "index.txt").write_text("")
        config.write_text(f"""[ca]
default_ca=own
[own]
dir={self.folder}
database=$dir/index.txt
new_certs_dir=$dir
serial=$dir/serial
default_md=sha256
policy=any
unique_subject=no
[any]
commonName=supplied
""")
        self._openssl("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-create_serial",
                      "-rand_serial", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-in",
                      f"{name}.csr", "-out", f"{name}-expired.pem", "-notext")
        return self.folder / f"{name}-expired.pem"
