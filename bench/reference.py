"""The physical references: what this machine needs for the parts that nobody can leave out."""

from __future__ import annotations

import os
import subprocess
import time

import pika
from direct import spread


def python_start(python, repeat: int) -> dict:
    """A bare interpreter that imports dill."""
    seconds = []
    for _ in range(repeat):
        begin = time.monotonic()
        subprocess.run([python, "-c", "import dill"], check=True)
        seconds.append(time.monotonic() - begin)
    return spread(seconds)


def pipe_ping_pong(count: int = 5000) -> dict:
    """One byte to another process and back."""
    there, answer = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(there[1])
        while os.read(there[0], 1):
            os.write(answer[1], b"x")
        os._exit(0)
    seconds = []
    for _ in range(count):
        begin = time.monotonic()
        os.write(there[1], b"x")
        os.read(answer[0], 1)
        seconds.append(time.monotonic() - begin)
    for end in (*there, *answer):
        os.close(end)
    os.waitpid(child, 0)
    return spread(seconds)


def broker_round_trip(broker, count: int = 300) -> dict:
    """Publish with confirm → deliver → ack, a persistent message of 1 kB."""
    connection = broker.connect()
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("bench.reference", durable=True).method.queue
    seconds = []
    incoming = channel.consume(queue)
    for _ in range(count):
        begin = time.monotonic()
        channel.basic_publish("", queue, b"x" * 1024, pika.BasicProperties(delivery_mode=2))
        method, _, _ = next(incoming)
        channel.basic_ack(method.delivery_tag)
        seconds.append(time.monotonic() - begin)
    channel.cancel()
    channel.queue_delete(queue)
    connection.close()
    return spread(seconds)
