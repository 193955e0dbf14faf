"""The fork server: imports once, forks a worker for each request, tells who has ended."""

import array
import gc
import json
import os
import signal
import socket
import sys

from _sallyport.channel import serve
from _sallyport.standins import StandIns
from _sallyport.task import details


def _die_with_parent():
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    except Exception:
        pass  # then the closed socket tells us, once the task is over


def _redirect(path):
    """Pools: what tasks print goes to the endpoint's log, as it does when they run inside it."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600) if path else -1
    except OSError:
        return  # then it stays with the block's output
    if fd >= 0:
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)


def _become_worker(fd, request, settings, close):
    for other in close:
        os.close(other)
    os.setsid()
    _die_with_parent()
    signal.set_wakeup_fd(-1)
    for signo in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(signo, signal.SIG_DFL)
    os.environ.update(request.get("env") or {})
    if request.get("affinity"):
        os.sched_setaffinity(0, request["affinity"])
    _redirect(settings.get("output"))
    os.set_inheritable(fd, False)
    serve(socket.socket(fileno=fd), settings)


def _end_group(pid):
    """A worker and what its tasks started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass  # nobody is left


def _reap(control, workers):
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _end_group(pid)  # what its tasks left behind; the agent may be dying just now
        workers.discard(pid)
        control.send(json.dumps({"exited": pid, "status": status}).encode())


def _next_request(control):
    """A request and the descriptor that came with it; (None, -1) at the end."""
    fds = array.array("i")
    data, extra, _, _ = control.recvmsg(1 << 20, socket.CMSG_SPACE(fds.itemsize))
    for level, kind, content in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    if not data:
        return None, -1
    return json.loads(data), fds[0] if fds else -1


def _fork_worker(control, request, fd, settings, ours, workers):
    pid = os.fork()
    if pid == 0:
        try:
            _become_worker(fd, request, settings, ours)
        finally:
            os._exit(70)
    workers.add(pid)
    os.close(fd)
    control.send(json.dumps({"forked": pid, "slot": request["slot"]}).encode())


def main(control_fd):
    """The fork server: imports once, forks a worker for each request, tells who has ended."""
    import select

    control = socket.socket(fileno=control_fd)
    os.set_inheritable(control_fd, False)
    sys.meta_path.append(StandIns)
    sys.path[0] = os.getcwd()
    # What runs in __main__ from now on is the user's: nothing of ours may be found there.
    space = sys.modules["__main__"].__dict__
    for name in [n for n in space if not (n.startswith("__") and n.endswith("__"))]:
        del space[name]
    space.pop("__file__", None)
    settings, _ = _next_request(control)
    if settings is None:
        return
    try:
        import dill  # noqa: F401  most functions come as dill's byte code
    except ImportError:
        pass
    control.send(json.dumps({"ready": details(None)}).encode())
    try:
        import ctypes  # noqa: F401  each worker needs it: once is enough
    except ImportError:
        pass
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_w, False)
    os.set_blocking(wake_r, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    gc.collect()
    gc.freeze()
    workers = set()
    try:
        while True:
            ready, _, _ = select.select([control_fd, wake_r], [], [])
            if wake_r in ready:
                os.read(wake_r, 512)
                _reap(control, workers)
            if control_fd in ready:
                request, fd = _next_request(control)
                if request is None:
                    return
                _fork_worker(control, request, fd, settings, (control_fd, wake_r, wake_w), workers)
    except ConnectionError:
        return  # the agent went while we spoke
    finally:
        for pid in workers:  # the agent is gone
            _end_group(pid)
