"""Drives python/worker.py as a node agent does, without the agent."""

import array
import json
import os
import socket
import struct
import subprocess
import sys

FRAME = struct.Struct(">IQ")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORKER = os.path.join(ROOT, "python", "worker.py")
# As the agent starts it: the code comes from a file, but __main__ has none.
BOOT = "import sys;n={'__name__':'_sallyport'};exec(compile(open(sys.argv[1]).read(),'<sallyport>','exec'),n);n['main'](int(sys.argv[2]))"


class WorkerServer:
    """A fork server and its workers."""

    def __init__(self, python=sys.executable, cwd="/", env=None, output=None, **settings):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen(
            [python, "-c", BOOT, WORKER, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        theirs.close()
        self.control = ours
        self.control.settimeout(60)
        self.control.send(json.dumps(settings).encode())
        self.ready = json.loads(self.control.recv(1 << 20))["ready"]

    def worker(self, **request):
        ours, theirs = socket.socketpair()
        fds = array.array("i", [theirs.fileno()])
        message = json.dumps({"slot": 0, **request}).encode()
        self.control.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        theirs.close()
        reply = json.loads(self.control.recv(1 << 20))
        return Worker(ours, reply["forked"])

    def exited(self):
        return json.loads(self.control.recv(1 << 20))

    def close(self):
        self.control.close()
        self.process.wait(20)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Worker:
    def __init__(self, sock, pid):
        self.sock, self.pid = sock, pid
        self.sock.settimeout(60)

    def _receive(self, n):
        data = b""
        while len(data) < n:
            piece = self.sock.recv(n - len(data))
            if not piece:
                raise EOFError("the worker is gone")
            data += piece
        return data

    def send(self, header, body):
        head = json.dumps(header).encode()
        self.sock.sendall(FRAME.pack(len(head), len(body)) + head + body)

    def receive(self):
        head, body = FRAME.unpack(self._receive(FRAME.size))
        return json.loads(self._receive(head)), self._receive(body)

    def run(self, header, body):
        self.send(header, body)
        return self.receive()
