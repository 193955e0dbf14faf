#!/usr/bin/env python3
"""Memory of the service with many endpoints that report and many result streams.

    bench/memory.py [ENDPOINTS [STREAMS]]        (default 2000 500)

Half of the endpoints are managers, half user endpoints whose reports carry a rendered configuration
of 2 KiB.  Each stream is a task group with a queue, a consumer at the broker and an open HTTP
connection.  Counted is the resident memory of the service process, not of the broker."""

import os
import pathlib
import re
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / "tests"), str(TOP / "tests" / "service")]

import pika  # noqa: E402
import requests  # noqa: E402
from service_rig import TEMPLATE, Service, why_not  # noqa: E402
from site_ import Manager, pack  # noqa: E402


def resident(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def report(i, endpoint):
    state = {"heartbeat_period": 30}
    if i % 2:
        state.update(active=True, total_workers=16, idle_workers=16, managers=4, pending_tasks=0, outstanding_tasks=0,
                     engine_type="GlobusComputeEngine", provider_type="SlurmProvider", queue="debug", account="abc",
                     posix_username="ada", posix_uid=1000, posix_groups=list(range(20)), config_raw="x: y\n" * 400)
    return pack("ep_status_report", {"endpoint_id": endpoint, "global_state": state, "task_statuses": {}})


def main():
    endpoints, streams = (int(w) for w in (sys.argv[1:] + ["2000", "500"][len(sys.argv) - 1:])[:2])
    if reason := why_not():
        sys.exit(reason)
    with tempfile.TemporaryDirectory(prefix="sallyport-bench-", dir="/var/tmp") as name:
        os.chmod(name, 0o711)
        (pathlib.Path(name) / "data").mkdir(mode=0o711)
        (pathlib.Path(name) / "data" / "service.yaml").write_text("limits: {requests_per_second: 0}\n")
        service = Service(name)
        try:
            run(service, endpoints, streams)
        finally:
            service.stop()


def run(service, endpoints, streams):
    pid = service.process.pid
    print(f"started: {resident(pid):.1f} MiB", flush=True)
    session = requests.Session()
    session.headers["Authorization"] = "Bearer test-alice"
    infos = [session.post(service.url + "/v3/endpoints", timeout=60, json={
        "endpoint_name": f"e{i}", "metadata": TEMPLATE, "public": False, "high_assurance": False,
        "multi_user": True}).json() for i in range(endpoints)]
    print(f"{endpoints} endpoints registered: {resident(pid):.1f} MiB", flush=True)
    for round_ in range(2):
        for i, info in enumerate(infos):
            to = info["heartbeat_queue_info"]
            connection = pika.BlockingConnection(pika.URLParameters(to["connection_url"]))
            kwargs = dict(to["queue_publish_kwargs"])
            kwargs["properties"] = pika.BasicProperties(**kwargs.pop("properties", {}))
            connection.channel().basic_publish(body=report(i, info["endpoint_id"]), **kwargs)
            connection.close()
        print(f"reports of all, round {round_ + 1}: {resident(pid):.1f} MiB", flush=True)
    manager = Manager(service.register().json())
    time.sleep(1)
    function = service.function()
    address = session.get(service.url + "/v2/get_amqp_result_connection_url", timeout=60).json()
    open_ones = []
    for _ in range(streams):
        own = requests.Session()
        own.headers["Authorization"] = "Bearer test-alice"
        answer = own.post(service.url + f"/v3/endpoints/{manager.id}/submit", timeout=60, json={
            "tasks": {function: ["12\n00\ngAQpLg==\n12\n00\ngAR9lC4=\n"] * 4}, "create_queue": True}).json()
        connection = pika.BlockingConnection(pika.URLParameters(address["connection_url"]))
        channel = connection.channel()
        channel.basic_consume(address["queue_prefix"] + answer["task_group_id"], lambda *_: None, auto_ack=True)
        open_ones.append((own, connection))
    time.sleep(3)
    text = session.get(service.url + "/metrics", timeout=60).text
    online = re.search(r"^sallyport_endpoints_online (\d+)", text, re.M)[1]
    most = float(re.search(r"^sallyport_resident_max_bytes (\S+)", text, re.M)[1]) / (1 << 20)
    print(f"{streams} streams, {online} online: {resident(pid):.1f} MiB, at most {most:.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
