#!/usr/bin/python3 -I
"""Stands in for libexec/sallyport/listener: what the monitor sends goes to the test, what the test
sends goes to the monitor, descriptors included.  It understands nothing itself."""

import array
import os
import select
import socket
import sys

LARGEST = 8192
HERE = os.path.dirname(os.path.realpath(__file__))


def pump(source, target):
    packet, control, _flags, _ = source.recvmsg(LARGEST, socket.CMSG_SPACE(8 * 4))
    fds = array.array("i")
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if not packet and not fds:
        return False
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else []
    target.sendmsg([packet], rights)
    for fd in fds:
        os.close(fd)
    return True


def main():
    monitor = socket.socket(fileno=3)
    test = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    test.connect(os.path.join(HERE, "control.sock"))
    with open("/proc/self/status") as f:
        status = f.read()
    test.send(repr({"status": status, "env": dict(os.environ), "fds": os.listdir("/proc/self/fd"),
                    "pid": os.getpid(), "cwd": os.getcwd()}).encode())
    monitor.setblocking(True)
    while True:
        ready, _, _ = select.select([monitor, test, ], [], [])
        for source in ready:
            if source is test:
                packet = source.recv(LARGEST, socket.MSG_PEEK)
                if packet.startswith(b"exit "):
                    sys.exit(int(packet.split()[1]))
                if packet.startswith(b"log "):
                    os.write(2, source.recv(LARGEST)[4:])
                    continue
            if not pump(source, monitor if source is test else test):
                sys.exit(0)


main()
