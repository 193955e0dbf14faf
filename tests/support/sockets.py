"""Connections that go through a test."""

from __future__ import annotations

import socket
import threading


def join(one: socket.socket, other: socket.socket) -> None:
    """What comes on one goes out on the other, both ways, until either side ends."""
    for a, b in ((one, other), (other, one)):
        threading.Thread(target=_pump, args=(a, b), daemon=True).start()


def _pump(a: socket.socket, b: socket.socket) -> None:
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
