"""bench/run: the same measurements of the Python original and of ours, one after the other."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from dataclasses import dataclass
from importlib import metadata

import picture
import reference
import report
import site_rows  # noqa: F401 - it adds its rows
from direct import Endpoint, Queues, check, cpu_seconds, noop, round_trips, spread, task_buffer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rows import ROWS, Row
from site_of import site_of
from support.accounts import Accounts
from support.rabbit import RabbitNode
from support.site import Site
from support.stack import Service


@dataclass(frozen=True)
class Kind:
    name: str
    prefix: pathlib.Path
    is_ours: bool

    @property
    def program(self) -> pathlib.Path:
        return self.prefix / "bin" / "globus-compute-endpoint"

    def installed(self) -> tuple[int, int]:
        """Bytes on disk, and packages beside the operating system's own that it takes."""
        if self.is_ours:
            paths = list(self.prefix.rglob("*"))
            count = 1
        else:
            packages = required_by("globus-compute-endpoint")
            count = len(packages)
            paths = [pathlib.Path(f.locate()) for name in packages for f in metadata.files(name) or []]
        return sum(p.lstat().st_size for p in paths if p.is_file() and not p.is_symlink()), count


def required_by(package: str) -> set[str]:
    """The package and all that it needs, of the environment that runs this: it holds the tests' too."""
    wanted, found = [package], set()
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if not requirement.marker or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
    return found


class Bench:
    def __init__(self, folder: pathlib.Path, ours: pathlib.Path, original: pathlib.Path, sdk_python,
                 quick: bool):
        self.folder = folder
        self.quick = quick
        self.python = sdk_python
        self.kinds = [Kind("original", original, False), Kind("ours", ours, True)]
        self.ours = ours
        self._stack = contextlib.ExitStack()
        self._broker: RabbitNode | None = None
        self._service: Service | None = None
        self._accounts: Accounts | None = None

    def repeat(self, count: int) -> int:
        return max(1, count // 2) if self.quick else count

    @property
    def watch_seconds(self) -> float:
        """How long something idle is looked at: at least one heartbeat of 30 s."""
        return 31 if self.quick else 61

    @staticmethod
    def own_cpu_seconds() -> float:
        """Of this process and all that it has waited for."""
        return sum(r.ru_utime + r.ru_stime for r in map(resource.getrusage, (
            resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))

    @property
    def broker(self) -> RabbitNode:
        if not self._broker:
            self._broker = self._stack.enter_context(RabbitNode(self.folder / "rabbit"))
        return self._broker

    @property
    def service(self) -> Service:
        if not self._service:
            self._service = self._stack.enter_context(Service(self.ours, self.folder / "service"))
        return self._service

    @contextlib.contextmanager
    def queues(self):
        queues = Queues(self.broker, str(uuid.uuid4()))
        try:
            yield queues
        finally:
            queues.close()

    def endpoint(self, kind: Kind, queues: Queues, **options) -> Endpoint:
        return Endpoint(kind.program, queues, self.folder / "endpoints", python=self.python, **options)

    def warm_up(self, queues: Queues) -> None:
        for _ in range(5):
            queues.send(task_buffer(noop))
            check(queues.next_result())
        queues.stop_consuming()

    def warm(self, kind: Kind, buffer: str, count: int) -> dict:
        with self.queues() as queues:
            endpoint = self.endpoint(kind, queues)
            try:
                round_trips(queues, buffer, 5)
                before = cpu_seconds(endpoint.family())
                seconds = round_trips(queues, buffer, count)
                cpu = cpu_seconds(endpoint.family()) - before
                return {"seconds": spread(seconds), "cpu_ms": cpu * 1000 / count}
            finally:
                queues.stop_consuming()
                endpoint.stop()

    def site(self, kind: Kind, users: int = 1) -> Site:
        if not self._accounts:
            self._accounts = Accounts()
            self._stack.callback(self._accounts.remove)
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{kind.name}-", dir=self.folder))
        folder.chmod(0o711)
        return site_of(self.service, kind.prefix, folder, self._accounts, self.python, users)

    def close(self) -> None:
        self._stack.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, no long rows: under 10 minutes")
    parser.add_argument("--only", action="append", metavar="ROW", help="only this row; may be repeated")
    parser.add_argument("--kind", choices=["original", "ours"], help="only this kind")
    parser.add_argument("--list", action="store_true", help="the rows")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the numbers there")
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="draw them there")
    parser.add_argument("--from-json", type=pathlib.Path, metavar="FILE", help="don't measure, only show")
    options = parser.parse_args()
    if options.list:
        for row in ROWS:
            print(f"{row.name:20} {row.columns[0].title}{'' if row.quick else '  (not in --quick)'}")
        return 0
    if options.from_json:
        document = json.loads(options.from_json.read_text())
    else:
        document = measure(options)
    print(report.table(document))
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.svg:
        options.svg.write_text(picture.draw(document) + "\n")
    return 0


def measure(options: argparse.Namespace) -> dict:
    ours = pathlib.Path(os.environ["SALLYPORT_PREFIX"])
    original = pathlib.Path(os.environ["SALLYPORT_PEERS"])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-bench-", dir="/var/tmp"))
    folder.chmod(0o711)
    bench = Bench(folder, ours, original, original / "bin" / "python3", options.quick)
    document: dict = {"machine": report.machine(), "quick": options.quick, "references": {}, "rows": []}
    try:
        if not options.only:
            document["references"] = {
                "Python starts and imports dill": reference.python_start(bench.python, 10),
                "a byte through a pipe and back": reference.pipe_ping_pong(),
                "RabbitMQ: publish → deliver → ack": reference.broker_round_trip(bench.broker)}
        for row in ROWS:
            if options.only and row.name not in options.only or options.quick and not row.quick:
                continue
            document["rows"].append(measured(bench, row, options.kind))
            if options.json:  # what has been measured is kept, whatever comes
                options.json.write_text(json.dumps(document, indent=1) + "\n")
    finally:
        bench.close()
        shutil.rmtree(folder, ignore_errors=True)
    return document


def measured(bench: Bench, row: Row, only: str | None) -> dict:
    entry: dict = {"name": row.name, "columns": [dataclasses.asdict(c) for c in row.columns], "failed": {}}
    kinds = {kind.name: kind for kind in bench.kinds}
    for name in row.kinds:
        if only and name in kinds and name != only:
            continue
        begin = time.monotonic()
        print(f"{row.columns[0].title}: {name} ...", file=sys.stderr, flush=True)
        try:
            entry[name] = row.measure(bench, kinds.get(name))
            print(f"    {json.dumps(entry[name])}  ({time.monotonic() - begin:.0f} s)", file=sys.stderr, flush=True)
        except Exception as e:  # a row that fails is a result; the others go on
            entry["failed"][name] = f"{type(e).__name__}: {e}"[:2000]
            traceback.print_exc()
    return entry


if __name__ == "__main__":
    sys.exit(main())
