"""The messages of src/manager/table.h, for a pretend listener."""

import array
import os
import socket
import struct

REGISTERED, START, REFRESH, FATAL = 1, 2, 3, 4
HELLO, FILE, STARTED, RUNNING, FAILED, REFRESHED, EXITED, STOP = range(100, 108)
CONFIG, TEMPLATE, SCHEMA, MAPPING, TOKENS = range(5)
(NO_ACCOUNT, SAME_USER, BAD_ACCOUNT, LIMIT, BAD_NAME, CANT_FORK, STOPPING, BAD_GRANT, DIED) = range(
    1, 10
)

HEAD = struct.Struct("<IiQiI")
START_PART = struct.Struct("<64s256s48s37s1024s64s")
HELLO_PART = struct.Struct("<I?1024s37s256s64s??")
TEXT_PART = struct.Struct("<2048s2048s")
ID_PART = struct.Struct("<37s")
LARGEST = 8192


def head(type_, code=0, request=0, pid=0, file=0):
    return HEAD.pack(type_, code, request, pid, file)


def start(user, name, key="key", id_="", command="", request=1, type_=START,
          correlation="req-1"):
    texts = [t if isinstance(t, bytes) else t.encode() for t in (user, name, key, id_, command, correlation)]
    return head(type_, request=request) + START_PART.pack(*texts)


def registered(id_):
    return head(REGISTERED) + ID_PART.pack(id_.encode())


def fatal(code, user, admin=""):
    return head(FATAL, code=code) + TEXT_PART.pack(user.encode(), admin.encode())


def text(raw):
    return raw.split(b"\0", 1)[0].decode()


class Message:
    def __init__(self, packet, fds):
        self.type, self.code, self.request, self.pid, self.file = HEAD.unpack(packet[: HEAD.size])
        self.fds = fds
        rest = packet[HEAD.size :]
        if self.type in (START, REFRESH, RUNNING, EXITED):
            fields = START_PART.unpack(rest)
            self.user, self.name, self.key, self.id, self.command = map(text, fields[:5])
        elif self.type == HELLO:
            fields = HELLO_PART.unpack(rest)
            self.version, self.debug = fields[:2]
            self.dir, self.uuid, self.hostname, self.local_user = map(text, fields[2:6])
            self.privileged, self.can_change_user = fields[6:]
        elif self.type in (FAILED, FATAL):
            self.user_text, self.admin_text = map(text, TEXT_PART.unpack(rest))

    def read(self):
        """The whole of the one descriptor, which is closed."""
        with os.fdopen(self.fds.pop(), "rb") as f:
            return f.read()


def send(sock, packet, fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([packet], rights)


def receive_raw(sock):
    """Packet and descriptors; b"" at the end."""
    space = socket.CMSG_SPACE(8 * 4)
    packet, control, _flags, _ = sock.recvmsg(LARGEST, space)
    fds = array.array("i")
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return packet, list(fds)


def sealed(data):
    """A memory file as the listener has to hand it over."""
    import fcntl

    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    f_add_seals, all_seals = 1033, 0x1 | 0x2 | 0x4 | 0x8
    fcntl.fcntl(fd, f_add_seals, all_seals)
    return fd
