"""bench/run: the same measurements of the Python original and of ours, one after the other."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import traceback
import uuid
from dataclasses import dataclass

import reference
import report
from direct import Endpoint, Queues, round_trips, spread
from rows import ROWS
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

    @property
    def installed(self) -> list[pathlib.Path]:
        return list(self.prefix.rglob("*"))

    @property
    def packages(self) -> int:
        """Packages beside the operating system's own that have to be installed for it."""
        if self.is_ours:
            return 1
        listed = subprocess.run([self.prefix / "bin" / "pip", "list", "--format=json"],
                                capture_output=True, text=True, check=True).stdout
        return len(json.loads(listed))


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
        from direct import noop, task_buffer

        for _ in range(5):
            queues.send(task_buffer(noop))
            queues.next_result()
        queues.stop_consuming()

    def warm(self, kind: Kind, buffer: str, count: int) -> dict:
        with self.queues() as queues:
            endpoint = self.endpoint(kind, queues)
            try:
                round_trips(queues, buffer, 5)
                return {"seconds": spread(round_trips(queues, buffer, count))}
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
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="draw the ratios there")
    parser.add_argument("--from-json", type=pathlib.Path, metavar="FILE", help="don't measure, only show")
    options = parser.parse_args()
    if options.list:
        for row in ROWS:
            print(f"{row.name:20} {row.title}{'' if row.quick else '  (not in --quick)'}")
        return 0
    if options.from_json:
        document = json.loads(options.from_json.read_text())
    else:
        document = measure(options)
    print(report.table(document))
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.svg:
        options.svg.write_text(report.picture(document) + "\n")
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
                "reference: python3 start, import dill": reference.python_start(bench.python, 5),
                "reference: pipe ping-pong": reference.pipe_ping_pong(),
                "reference: broker publish → deliver → ack": reference.broker_round_trip(bench.broker)}
        for row in ROWS:
            if options.only and row.name not in options.only or options.quick and not row.quick:
                continue
            entry: dict = {"name": row.name, "title": row.title, "headline": row.headline,
                           "unit": row.unit, "more_is_better": row.more_is_better, "failed": {}}
            for kind in bench.kinds:
                if options.kind and kind.name != options.kind:
                    continue
                print(f"{row.title}: {kind.name} ...", file=sys.stderr, flush=True)
                try:
                    entry[kind.name] = row.measure(bench, kind)
                    print(f"    {json.dumps(entry[kind.name])}", file=sys.stderr, flush=True)
                except Exception as e:  # a row that fails is a result; the others go on
                    entry["failed"][kind.name] = f"{type(e).__name__}: {e}"[:2000]
                    traceback.print_exc()
            document["rows"].append(entry)
    finally:
        bench.close()
        shutil.rmtree(folder, ignore_errors=True)
    return document


if __name__ == "__main__":
    sys.exit(main())
