"""A TCP forwarder that can be cut, refused and freed: the network between endpoint and broker."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

from support.sockets import join


class Forwarder:
    def __init__(self, url: str):
        self._target = ("127.0.0.1", urlsplit(url).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = url.replace(f":{self._target[1]}/", f":{self.port}/")
        self.accepted = 0
        self.refuse = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self.refuse:
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            self._pairs.append((client, server))
            join(client, server)

    def cut(self):
        """Ends every connection of the moment."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self._listener.close()
        self.cut()
