"""The Python side of a node agent: reads a task, runs it, writes the result.

The agent starts this file once per node as a fork server (main) and asks it for workers.  Each
worker serves one socket of its own:

    agent → worker   header {"id", "serializers", "env"}, body = packed task
    worker → agent   header {"id"} or {"id", "failed": text}, body = packed result

A frame is two lengths (4 bytes header, 8 bytes body, big endian), then header (JSON) and body.
Standard library only, every CPython from 3.8 on; dill is used when it is there and needed, the
Globus Compute SDK never: classes of it that payloads name have stand-ins here, which an installed
SDK replaces.  The outside behaviour is that of the worker of globus-compute-endpoint 4.19.
"""

import array
import binascii
import gc
import json
import os
import pickle
import signal
import socket
import struct
import sys
import time
import types

LIMIT_ERROR_TEXT = 1 << 20
FRAME = struct.Struct(">IQ")

# --------------------------------------------------------------------------------------------------
# Stand-ins for the few names of other packages that payloads and error texts carry.


class _StandIns:
    """A finder placed last: real packages win, and nothing else of them can be imported."""

    PACKAGES = (
        "globus_compute_sdk",
        "globus_compute_sdk.sdk",
        "globus_compute_sdk.errors",
        "parsl",
        "parsl.app",
    )

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        from importlib.machinery import ModuleSpec

        if name in cls.PACKAGES:
            return ModuleSpec(name, cls, is_package=True)
        if name in STAND_IN_MODULES:
            return ModuleSpec(name, cls)
        return None

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        for item in STAND_IN_MODULES.get(module.__name__, ()):
            setattr(module, item.__name__, item)
        if module.__name__ == "globus_compute_sdk.errors":
            for item in STAND_IN_MODULES["globus_compute_sdk.errors.error_types"]:
                setattr(module, item.__name__, item)


def _named(module):
    def mark(cls):
        cls.__module__ = module
        return cls

    return mark


@_named("globus_compute_sdk.errors.error_types")
class DeserializationError(Exception):
    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason

    def __str__(self):
        return f"Deserialization failed: {self.reason}"


@_named("globus_compute_sdk.errors.error_types")
class SerializationError(Exception):
    def __init__(self, reason):
        super().__init__(reason)
        self.reason = reason

    def __str__(self):
        return f"Serialization failed: {self.reason}"


@_named("globus_compute_sdk.errors.error_types")
class MaxResultSizeExceeded(Exception):
    def __init__(self, result_size, result_size_limit):
        super().__init__(result_size, result_size_limit)
        self.result_size = result_size
        self.result_size_limit = result_size_limit

    def __str__(self):
        return (
            f"Task result of {self.result_size}B exceeded current limit of "
            f"{self.result_size_limit}B"
        )


class CouldNotExecuteUserTaskError(Exception):
    pass


@_named("globus_compute_common.messagepack.exceptions")
class UnrecognizedProtocolVersion(Exception):
    pass


@_named("parsl.app.errors")
class AppTimeout(Exception):
    pass


@_named("globus_compute_sdk.sdk.shell_function")
class ShellResult:
    def __init__(self, cmd, stdout, stderr, returncode, exception_name=None):
        self.cmd = cmd
        self.stdout = stdout
        self.stderr = stderr
        self.returncode = returncode
        self.exception_name = exception_name

    def __str__(self):
        return (
            f"{self.cmd} returned with exit status: {self.returncode}\n\n"
            f"-- stdout --\n{self.stdout}\n\n-- stderr --\n{self.stderr}\n"
        )


@_named("globus_compute_sdk.sdk.shell_function")
class ShellFunction:
    """Runs a command line; built from its pickled state, never by __init__."""

    return_dict = False
    stdout = stderr = walltime = None
    snippet_lines = 1000

    def _command(self, kwargs):
        return self.cmd.format(**kwargs)

    def __call__(self, **kwargs):
        outcome = _run_shell(
            self._command(kwargs), self.stdout, self.stderr, self.walltime, self.snippet_lines
        )
        return outcome if self.return_dict else ShellResult(**outcome)


@_named("globus_compute_sdk.sdk.mpi_function")
class MPIFunction(ShellFunction):
    def _command(self, kwargs):
        return "$PARSL_MPI_PREFIX " + super()._command(kwargs)


STAND_IN_MODULES = {
    "globus_compute_sdk.sdk.shell_function": (ShellFunction, ShellResult),
    "globus_compute_sdk.sdk.mpi_function": (MPIFunction,),
    "globus_compute_sdk.errors.error_types": (
        DeserializationError,
        MaxResultSizeExceeded,
        SerializationError,
    ),
    "parsl.app.errors": (AppTimeout,),
}

NO_SANDBOX = (
    "WARNING: Task sandboxing will not work due to endpoint misconfiguration. "
    "Please enable sandboxing on the remote endpoint. "
)


def _output_file(name, suffix):
    import uuid

    if name is None:
        task = os.environ.get("GC_TASK_UUID", "")
        name = os.path.join(os.getcwd(), f"{task}.{uuid.uuid4().hex[:8]}.{suffix}")
    parent = os.path.dirname(name)
    if parent:
        os.makedirs(parent, exist_ok=True)
    return open(name, "a+", encoding="utf-8", errors="replace")


def _last_lines(file, count):
    from collections import deque

    file.flush()
    file.seek(0)
    return "".join(deque(file, maxlen=count))


def _end_group(process):
    for signo, patience in ((signal.SIGTERM, 2), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, signo)
        except ProcessLookupError:
            pass
        try:
            process.wait(patience)
            return
        except Exception:  # still there
            continue


def _run_shell(command, stdout, stderr, walltime, snippet_lines):
    import subprocess

    sandbox = os.environ.get("GC_TASK_SANDBOX_DIR")
    if sandbox:
        os.makedirs(sandbox, exist_ok=True)
        os.chdir(sandbox)
    exception_name = None
    with _output_file(stdout, "stdout") as out, _output_file(stderr, "stderr") as err:
        process = subprocess.Popen(
            ["/bin/bash", "-c", command],
            stdout=out,
            stderr=err,
            close_fds=False,
            start_new_session=True,
        )
        try:
            returncode = process.wait(walltime)
            if returncode != 0:
                exception_name = "subprocess.CalledProcessError"
        except subprocess.TimeoutExpired:
            _end_group(process)
            returncode = 124
            exception_name = "subprocess.TimeoutExpired"
        except BaseException:
            _end_group(process)
            raise
        if not sandbox:
            err.write(NO_SANDBOX + "\n")
        return {
            "cmd": command,
            "stdout": _last_lines(out, snippet_lines),
            "stderr": _last_lines(err, snippet_lines),
            "returncode": returncode,
            "exception_name": exception_name,
        }


# --------------------------------------------------------------------------------------------------
# Payloads: from text to objects.


def _unbase64(text):
    return binascii.a2b_base64(text.encode("ascii", "ignore"))


def _loads(data):
    # dill is pure Python and slow to import; pickles that do not speak of it need none of it.
    if b"dill" in data or b"__builtin__" in data:
        import dill

        return dill.loads(data)
    return pickle.loads(data)


def _source(name, source):
    namespace = {}
    exec(source, namespace)
    return namespace[name]


def _from_pickle(text):
    return _loads(_unbase64(text))


def _from_pickled_source(text):
    return _source(*_from_pickle(text))


def _from_source(text):
    name, source = text.split(":", 1)
    return _source(name, source)


def _pieces(text):
    while text:
        head, text = text.split("\n", 1)
        size = int(head)
        yield text[:size]
        text = text[size:]


def _first_that_works(text):
    errors = []
    for piece in _pieces(text):
        identifier = piece[:3]
        try:
            if len(identifier) < 3 or identifier[2] != "\n":
                raise DeserializationError(
                    f"Malformed data (no newline separator): {piece[:50]}[...]"
                )
            if identifier not in STRATEGIES:
                raise DeserializationError(f"Invalid strategy identifier: {identifier.strip()}")
            return STRATEGIES[identifier][2](piece[3:])
        except Exception as e:
            name = STRATEGIES[identifier][0] if identifier in STRATEGIES else type(e).__name__
            errors.append(f"\n* {name}: {e}")
    raise DeserializationError("\n\nDeserialization errors:" + "".join(errors))


def _from_combined(text):
    parts = text.split(":")
    tries = 0
    for identifier, payload in zip(parts[::2], parts[1::2]):
        if identifier not in STRATEGIES:
            raise DeserializationError(f"Invalid serialization id {identifier}")
        tries += 1
        try:
            return STRATEGIES[identifier][2](payload)
        except Exception:
            continue
    raise DeserializationError(f"Deserialization failed after {tries} tries")


# identifier: (class, kind, reader)
STRATEGIES = {
    "00\n": ("DillDataBase64", "data", _from_pickle),
    "01\n": ("DillCode", "code", _from_pickle),
    "02\n": ("PickleCode", "code", _from_pickle),
    "03\n": ("DillCodeTextInspect", "code", _from_pickled_source),
    "04\n": ("DillCodeSource", "code", _from_pickled_source),
    "10\n": ("CombinedCode", "code", _from_combined),
    "11\n": ("JSONData", "data", json.loads),
    "12\n": ("AllCodeStrategies", "code", _first_that_works),
    "13\n": ("AllDataStrategies", "data", _first_that_works),
    "st\n": ("PureSourceTextInspect", "code", _from_source),
    "sd\n": ("PureSourceDill", "code", _from_source),
}


class _AllowList:
    """Which strategies may decode, by the outer identifier."""

    def __init__(self, entries):
        self.names = sorted({entry.rsplit(".", 1)[-1] for entry in entries or ()})

    def check(self, identifier):
        if not self.names:
            return
        name, kind, _ = STRATEGIES[identifier]
        if name in self.names or ("*Code" if kind == "code" else "*Data") in self.names:
            return
        what, family = ("function", "Code") if kind == "code" else ("arguments", "Data")
        lines = (
            f"{family} serializer {name} disabled by current configuration.",
            f"The current configuration requires the *{what}* to be serialized with one of the "
            f"allowed {family} classes:",
            "",
            "    Allowed serializers: " + ", ".join(self.names),
        )
        raise DeserializationError("\n".join(" " + line if line else "" for line in lines).lstrip())


def _decode(buffer, allowed):
    identifier = buffer[:3]
    if identifier not in STRATEGIES:
        raise DeserializationError(f"Invalid header: {identifier} in data payload")
    allowed.check(identifier)
    return STRATEGIES[identifier][2](buffer[3:])


def _unpack(body):
    """The task buffer of a packed task message."""
    if not body:
        raise ValueError("cannot detect_protocol_version on empty data")
    if body[0] != 1:
        raise UnrecognizedProtocolVersion(f"message had unknown protocol version {body[0]}")
    message = json.loads(bytes(body[1:]))
    kind = message["message_type"]
    if kind != "task":
        words = "".join(word.capitalize() for word in str(kind).split("_"))
        head = bytes(body[:8]).hex()
        raise CouldNotExecuteUserTaskError(
            f"Non Task-type message received: {words} (from: [{len(body)} bytes] 0x{head}...)"
        )
    return message["data"]["task_buffer"]


def _load_task(body, allowed):
    parts = [_decode(piece, allowed) for piece in _pieces(_unpack(body))]
    if len(parts) != 3:
        raise AssertionError(f"Unpack expects 3 buffers, got {len(parts)}")
    return parts


# --------------------------------------------------------------------------------------------------
# Results: from objects to text.

PLAIN = frozenset((type(None), bool, int, float, complex, str, bytes))


def _is_plain(value, budget=2000):
    """Built from built-in types only?  Then the C pickler says the same as dill, much faster."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind in PLAIN:
            continue
        budget -= 1
        if budget < 0:
            return False
        if kind in (list, tuple, set, frozenset):
            if len(item) > 64 and kind is list and all(type(x) in PLAIN for x in item):
                continue
            waiting.extend(item)
        elif kind is dict:
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif kind is not ShellResult:
            return False
    return True


def _dumps(value):
    if _is_plain(value):
        return pickle.dumps(value)
    try:
        import dill
    except ImportError:
        return pickle.dumps(value)
    return dill.dumps(value)


def _base64(data):
    # 76 characters a line, as codecs.encode(..., "base64") writes.
    return b"".join(
        binascii.b2a_base64(data[i : i + 57]) for i in range(0, len(data), 57)
    ).decode("ascii")


def _needs_sdk(name):
    def write(value):
        import importlib

        module = importlib.import_module("globus_compute_sdk.serialize.concretes")
        return getattr(module, name)().serialize(value)

    return write


def _write_sources(value):
    import inspect

    return f"st\n{value.__name__}:{inspect.getsource(value)}"


# Selectable for results: name → (kind, writer).
WRITERS = {
    "DillDataBase64": ("data", lambda value: "00\n" + _base64(_dumps(value))),
    "DillCode": ("code", lambda value: "01\n" + _base64(_dumps(value))),
    "JSONData": ("data", lambda value: "11\n" + json.dumps(value)),
    "PureSourceTextInspect": ("code", _write_sources),
    "DillCodeTextInspect": ("code", _needs_sdk("DillCodeTextInspect")),
    "DillCodeSource": ("code", _needs_sdk("DillCodeSource")),
    "CombinedCode": ("code", _needs_sdk("CombinedCode")),
    "AllCodeStrategies": ("code", _needs_sdk("AllCodeStrategies")),
    "PureSourceDill": ("code", _needs_sdk("PureSourceDill")),
    "AllDataStrategies": ("data", None),
}


def _write_all_data(value):
    pieces = []
    for name in ("JSONData", "DillDataBase64"):
        try:
            pieces.append(WRITERS[name][1](value))
        except Exception:
            continue
    if not pieces:
        raise SerializationError("No data strategy can serialize the value")
    return "13\n" + "".join(f"{len(piece)}\n{piece}" for piece in pieces)


WRITERS["AllDataStrategies"] = ("data", _write_all_data)
PATHS = ("globus_compute_sdk.serialize.", "globus_compute_sdk.serialize.concretes.")


def _writer(path, kind):
    prefix, _, name = path.rpartition(".")
    if prefix + "." not in PATHS or not name.isidentifier():
        raise SerializationError(
            f"Invalid strategy-like '{path}'. Expected either a SerializationStrategy instance, a "
            "subclass of SerializationStrategy, or an import path to one."
        )
    if name not in WRITERS:
        raise SerializationError(f"{name} is not a known serialization strategy.")
    if WRITERS[name][0] != kind:
        raise SerializationError(
            f"{name} is a {WRITERS[name][0]} serialization strategy, expected a {kind} strategy."
        )
    return WRITERS[name][1]


def _serialize(value, paths):
    kind = "code" if callable(value) else "data"
    if not paths:
        paths = [PATHS[0] + "DillDataBase64", PATHS[0] + "DillCode"]
    errors = []
    for path in paths:
        try:
            return _writer(path, kind)(value)
        except Exception as e:
            errors.append(e)
    failure = SerializationError("All strategies failed.")
    if sys.version_info >= (3, 11):
        raise failure from ExceptionGroup("Strategy failures", errors)  # noqa: F821
    raise failure from errors[-1]


# --------------------------------------------------------------------------------------------------
# One task.


def _distribution(name):
    """Version of an installed distribution by the name of its folder: nothing is imported."""
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in entries:
            if entry.startswith(name + "-") and entry.endswith(".dist-info"):
                return entry[len(name) + 1 : -len(".dist-info")]
    return None


def _details(endpoint_id):
    import platform

    details = {
        "os": platform.platform(),
        "dill_version": _distribution("dill"),
        "python_version": platform.python_version(),
        "globus_compute_sdk_version": _distribution("globus_compute_sdk"),
        "endpoint_id": endpoint_id,
    }
    return {key: value for key, value in details.items() if value is not None}


def _printable(text):
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) > LIMIT_ERROR_TEXT:
        half = LIMIT_ERROR_TEXT // 2
        text = text[:half] + "\n[... cut ...]\n" + text[-half:]
    return text


def _error_text(error):
    import traceback

    frames = error.__traceback__
    # The first two frames are ours, the third is the function that the user submitted: like the
    # original, which has one frame of its own, we show it only when nothing lies deeper.
    for _ in range(3):
        if frames is not None and frames.tb_next is not None:
            frames = frames.tb_next
    return _printable("".join(traceback.format_exception(type(error), error, frames)))


def _error_result(error):
    if isinstance(error, (MaxResultSizeExceeded, CouldNotExecuteUserTaskError)):
        code = type(error).__name__
        return repr(error), {"code": code, "user_message": f"remote error: {error}"}
    return _error_text(error), {
        "code": "RemoteExecutionError",
        "user_message": "An error occurred during the execution of this task",
    }


class _TimeLimit:
    """GC_TASK_TIMEOUT: AppTimeout in the task, blocking calls interrupted too."""

    def __enter__(self):
        self.seconds = float(os.environ.get("GC_TASK_TIMEOUT") or 0)
        if self.seconds > 0:
            signal.signal(signal.SIGALRM, self.expired)
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    @staticmethod
    def expired(signo, frame):
        raise AppTimeout

    def __exit__(self, *exc):
        if self.seconds > 0:
            signal.setitimer(signal.ITIMER_REAL, 0)


class _Environment:
    """The worker's environment, given anew to each task at the price of what has changed."""

    def __init__(self):
        self.clean = dict(os.environ)
        self.clean.pop("GC_TASK_SANDBOX_DIR", None)
        self.own = {}  # variables of the last task
        self.given = None  # what it began with, as bytes: comparing those decodes nothing

    def give(self, own):
        now = getattr(os.environ, "_data", None)
        if now is None or now != self.given:
            os.environ.clear()
            os.environ.update(self.clean)
        else:
            for key in self.own:
                if key in self.clean:
                    os.environ[key] = self.clean[key]
                elif key not in own:
                    del os.environ[key]
        os.environ.update(own)
        self.own = own
        self.given = None if now is None else dict(now)


class Worker:
    def __init__(self, settings):
        self.limit = settings.get("result_max") or 10 * 1024 * 1024
        self.run_dir = settings["run_dir"]
        self.sandbox = settings.get("sandbox", False)
        self.allowed = _AllowList(settings.get("allowed_serializers"))
        self.details = _details(settings.get("endpoint_id"))
        self.environment = None
        self.place = None  # the resolved run_dir, once it has been made

    def prepare(self, header):
        """Place and environment of the task; what goes wrong here is not the task's fault."""
        if self.environment is None:
            self.environment = _Environment()
        own = {"GC_TASK_UUID": header["id"], **(header.get("env") or {})}
        if not os.path.isabs(self.run_dir):
            raise ValueError(f"run_dir must be an absolute path, it is {self.run_dir}")
        if self.sandbox:
            place = os.path.join(os.path.realpath(self.run_dir), header["id"])
            own["GC_TASK_SANDBOX_DIR"] = place
            self.environment.give(own)
            os.makedirs(place, exist_ok=True)
            os.chdir(place)
            return
        self.environment.give(own)
        try:
            os.chdir(self.place or os.path.realpath(self.run_dir))
        except FileNotFoundError:
            os.makedirs(self.run_dir, exist_ok=True)
            os.chdir(os.path.realpath(self.run_dir))
        self.place = self.place or os.getcwd()

    def execute(self, body, serializers):
        # The user's function must be called right here: _error_text() counts frames.
        function, args, kwargs = _load_task(body, self.allowed)
        with _TimeLimit():
            value = function(*args, **kwargs)
        text = _serialize(value, serializers)
        if len(text) > self.limit:
            raise MaxResultSizeExceeded(len(text), self.limit)
        return text

    def run(self, header, body):
        began = time.time_ns()
        error_details = None
        try:
            data = self.execute(body, header.get("serializers"))
        except BaseException as e:
            data, error_details = _error_result(e)
        statuses = [
            {"timestamp": began, "state": "execution-start", "actor": "worker"},
            {"timestamp": time.time_ns(), "state": "execution-end", "actor": "worker"},
        ]
        message = {
            "message_type": "result",
            "data": {
                "task_id": header["id"],
                "data": data,
                "details": self.details,
                "error_details": error_details,
                "task_statuses": statuses,
            },
        }
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        return b"\x01" + text.encode("utf-8", "backslashreplace")


# --------------------------------------------------------------------------------------------------
# Talking to the agent.


def _receive(sock, size):
    data = bytearray(size)
    view = memoryview(data)
    while view:
        n = sock.recv_into(view)
        if n == 0:
            return None
        view = view[n:]
    return data


def _read_frame(sock):
    lengths = _receive(sock, FRAME.size)
    if lengths is None:
        return None, None
    head, body = FRAME.unpack(lengths)
    content = _receive(sock, head + body)
    if content is None:
        return None, None
    content = memoryview(content)
    return json.loads(bytes(content[:head])), content[head:]


def _write_frame(sock, header, body=b""):
    head = json.dumps(header).encode()
    start = FRAME.pack(len(head), len(body)) + head
    if len(body) < 65536:
        sock.sendall(start + body)
    else:
        sock.sendall(start)
        sock.sendall(body)


def _serve(sock, settings):
    worker = Worker(settings)
    pid = os.getpid()
    while True:
        header, body = _read_frame(sock)
        if header is None:
            os._exit(0)
        failed = result = None
        try:
            worker.prepare(header)
        except Exception as e:
            failed = _error_text(e)
        else:
            result = worker.run(header, body)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        if os.getpid() != pid:
            os._exit(0)  # a child that the task forked and that came back: not ours to answer
        try:
            if failed is not None:
                _write_frame(sock, {"id": header["id"], "failed": failed})
            else:
                _write_frame(sock, {"id": header["id"]}, result)
        except OSError:
            os._exit(1)
        del header, body, result


def _die_with_parent():
    try:
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    except Exception:
        pass  # then the closed socket tells us, once the task is over


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
    os.set_inheritable(fd, False)
    _serve(socket.socket(fileno=fd), settings)


def _reap(control):
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
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


def _fork_worker(control, request, fd, settings, ours):
    pid = os.fork()
    if pid == 0:
        try:
            _become_worker(fd, request, settings, ours)
        finally:
            os._exit(70)
    os.close(fd)
    control.send(json.dumps({"forked": pid, "slot": request["slot"]}).encode())


def main(control_fd):
    """The fork server: imports once, forks a worker for each request, tells who has ended."""
    import select

    control = socket.socket(fileno=control_fd)
    os.set_inheritable(control_fd, False)
    sys.meta_path.append(_StandIns)
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
    details = _details(None)
    control.send(json.dumps({"ready": details}).encode())
    wake_r, wake_w = os.pipe()
    os.set_blocking(wake_w, False)
    os.set_blocking(wake_r, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(wake_w, warn_on_full_buffer=False)
    gc.collect()
    gc.freeze()
    while True:
        ready, _, _ = select.select([control_fd, wake_r], [], [])
        if wake_r in ready:
            os.read(wake_r, 512)
            _reap(control)
        if control_fd in ready:
            request, fd = _next_request(control)
            if request is None:
                return
            _fork_worker(control, request, fd, settings, (control_fd, wake_r, wake_w))
