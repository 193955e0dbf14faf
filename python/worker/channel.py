"""A worker's talk with its agent: a task comes, its result goes.

    agent → worker   header {"id", "serializers", "env"}, body = packed task
    worker → agent   header {"id"} or {"id", "failed": text}, body = packed result

A frame is two lengths (4 bytes header, 8 bytes body, big endian), then header (JSON) and body.
"""

import os
import struct
import sys
from json import dumps, loads

from _sallyport.task import Worker, error_text

FRAME = struct.Struct(">IQ")
AT_ONCE = 65536  # bytes; most frames come with one call


def _fill(sock, view):
    while view:
        n = sock.recv_into(view)
        if n == 0:
            return False
        view = view[n:]
    return True


def read_frame(sock, first):
    """Header and body; (None, None) at the end.  first: a buffer that is used again and again.  The
    agent sends no frame before the last one is answered, so nothing follows behind."""
    got = sock.recv_into(first)
    if got < FRAME.size:
        if got == 0 or not _fill(sock, memoryview(first)[got : FRAME.size]):
            return None, None
        got = FRAME.size
    head, body = FRAME.unpack_from(first)
    size = FRAME.size + head + body
    content = bytearray(size - FRAME.size)
    content[: got - FRAME.size] = memoryview(first)[FRAME.size : got]
    if got < size and not _fill(sock, memoryview(content)[got - FRAME.size :]):
        return None, None
    view = memoryview(content)
    return loads(str(view[:head], "utf-8")), view[head:]


def write_frame(sock, header, body=b""):
    head = dumps(header).encode()
    start = FRAME.pack(len(head), len(body)) + head
    if len(body) < AT_ONCE:
        sock.sendall(start + body)
    else:
        sock.sendall(start)
        sock.sendall(body)


def serve(sock, settings):
    worker = Worker(settings)
    first = bytearray(AT_ONCE)
    pid = os.getpid()
    while True:
        header, body = read_frame(sock, first)
        if header is None:
            os._exit(0)
        failed = result = None
        try:
            worker.prepare(header)
        except Exception as e:
            failed = error_text(e)
        else:
            result = worker.run(header, body)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:
                pass  # it may be anything that the task put there
        if os.getpid() != pid:
            os._exit(0)  # a child that the task forked and that came back: not ours to answer
        try:
            if failed is not None:
                write_frame(sock, {"id": header["id"], "failed": failed})
            else:
                write_frame(sock, {"id": header["id"]}, result)
        except OSError:
            os._exit(1)
        del header, body, result
