"""Thousands of node agents on one user endpoint: all are connected, fed and drained, nothing is lost.

200 agents of 64 workers by default; SALLYPORT_MANY=2000 for the full figure (about two minutes).  The
agents are played by bench/load/agents over the real link.  What it cost is printed (pytest -rP).
"""

import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import uuid

import pika
import pytest
from support.process import wait_for

AGENTS = int(os.environ.get("SALLYPORT_MANY", "200"))
TASKS = 64 * AGENTS
PROGRAM = pathlib.Path(os.environ.get("SALLYPORT_BUILD", "build"), "bench/load/agents")
CONFIG = """
engine:
  type: GlobusComputeEngine
  provider: {type: LocalProvider, init_blocks: 0, min_blocks: 0, max_blocks: 0}
  max_workers_per_node: 64
heartbeat_period: 5
"""


class Results(threading.Thread):
    """Counts the results' task ids; parses nothing else."""

    ID = re.compile(rb'"task_id":"([0-9a-f-]{36})"')

    def __init__(self, url, queue):
        super().__init__(daemon=True)
        self.url, self.queue, self.ids, self.count, self.done = url, queue, set(), 0, False

    def run(self):
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        channel = connection.channel()
        channel.basic_qos(prefetch_count=5000)
        channel.basic_consume(self.queue, self._take, auto_ack=True)
        while not self.done:
            connection.process_data_events(0.2)
        connection.close()

    def _take(self, channel, method, properties, body):
        self.ids.add(self.ID.search(body).group(1))
        self.count += 1


def cost(pid):
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return ((int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"),
            int(re.search(r"^Pss: +(\d+)", rollup, re.M).group(1)) / 1024)


@pytest.mark.timeout(600)
@pytest.mark.skipif(not PROGRAM.exists(), reason="bench/load/agents is not built (SALLYPORT_BUILD)")
def test_thousands_of_agents(cloud):
    queue = f"counted-{cloud.id}"
    cloud.channel.queue_declare(queue, durable=False)
    cloud.channel.queue_bind(queue, cloud.names["results"], "#")
    results = Results(cloud.url, queue)
    uep = cloud.start(CONFIG)
    first = cloud.publish(b"\x01{}")
    found = []
    wait_for("the agents' port", lambda: found.extend(
        re.findall(r"waiting for node agents on \S+ port (\d+)", uep.log())) or found, 30, 0.1)
    key = next(uep.dir.glob("*/certificates/link.key"))
    cpu_before, _ = cost(uep.process.pid)
    began = time.monotonic()
    crowd = subprocess.Popen([PROGRAM, found[0], key, str(AGENTS), "64"], stdout=subprocess.PIPE, text=True)
    try:
        assert crowd.stdout.readline().strip() == f"registered {AGENTS}"
        joined = time.monotonic() - began
        cpu_joined, mib_joined = cost(uep.process.pid)
        wait_for("the first task's result", lambda: first in cloud.drain(0.2), 30, 0.05)
        results.start()
        sent = {str(uuid.uuid4()) for _ in range(TASKS)}
        for task_id in sent:
            properties = {"task_uuid": task_id, "function_uuid": task_id,
                          "resource_specification": "null"}
            cloud.channel.basic_publish("tasks", cloud.tasks, b"\x01{}", pika.BasicProperties(
                headers=properties, content_type="application/json"))
        wait_for(f"{TASKS} results", lambda: len(results.ids) >= TASKS, 240, 0.2)
        took = time.monotonic() - began - joined
        cpu, mib = cost(uep.process.pid)
        assert {i.decode() for i in results.ids} >= sent
        assert results.count - len(results.ids) < TASKS / 100, "more than a few came twice"
        beat = {}
        wait_for("a heartbeat of all", lambda: beat.update(cloud.beat(40)) or
                 (beat["managers"], beat["outstanding_tasks"], beat["total_tasks"]) ==
                 (AGENTS, 0, TASKS + 1), 70, 0)
        assert beat["total_workers"] == 64 * AGENTS
        print(f"{AGENTS} agents joined in {joined:.1f} s ({1000 * (cpu_joined - cpu_before) / AGENTS:.2f} "
              f"ms of CPU each), {mib_joined:.1f} MiB; {TASKS} tasks in {took:.1f} s, "
              f"{1e6 * (cpu - cpu_joined) / TASKS:.0f} us of CPU each, {mib:.1f} MiB")
        assert uep.stop() == 0
        assert crowd.wait(30) == 0
        assert crowd.stdout.read().strip() == f"answered {TASKS + 1}"
    finally:
        results.done = True
        if crowd.poll() is None:
            crowd.send_signal(signal.SIGKILL)
            crowd.wait(10)
        cloud.channel.queue_delete(queue)
