"""One task: its place and environment, its run, and the message of its result."""

import os
import signal
import sys
import time
from json import dumps
from json.encoder import encode_basestring as quoted

from _sallyport import payload
from _sallyport.bytecode import release_of
from _sallyport.payload import AllowList, load_task
from _sallyport.results import serialize
from _sallyport.standins import (
    AppTimeout,
    CouldNotExecuteUserTaskError,
    MaxResultSizeExceeded,
)

LIMIT_ERROR_TEXT = 1 << 20


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


def details(endpoint_id):
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


def error_text(error):
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
    return error_text(error), {
        "code": "RemoteExecutionError",
        "user_message": "An error occurred during the execution of this task",
    }


class _TimeLimit:
    """GC_TASK_TIMEOUT: AppTimeout in the task, blocking calls interrupted too."""

    def __init__(self, seconds):
        self.seconds = float(seconds or 0)

    def __enter__(self):
        if self.seconds > 0:
            signal.signal(signal.SIGALRM, self.expired)
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    @staticmethod
    def expired(signo, frame):
        raise AppTimeout

    def __exit__(self, *exc):
        # One that the task set goes too: it would end the worker in the middle of another task.
        signal.setitimer(signal.ITIMER_REAL, 0)


class _TaskId:
    """The variable GC_TASK_UUID, written in place: setenv() keeps each value that it ever saw, and a
    worker sees many."""

    NAME = b"GC_TASK_UUID"
    SIZE = 36

    def __init__(self):
        self.libc = self.text = None
        try:
            import ctypes

            self.text = ctypes.create_string_buffer(self.NAME + b"=" + b"0" * self.SIZE)
            self.libc = ctypes.CDLL(None)
        except Exception:
            pass  # then os.environ does it
        self.placed = False  # the environment points to our text

    def put(self, value):
        """False: os.environ has to do it."""
        data = value.encode("ascii", "replace")
        space = getattr(os.environ, "_data", None)
        if self.libc is None or len(data) != self.SIZE or space is None:
            return False
        self.text[len(self.NAME) + 1 : len(self.NAME) + 1 + self.SIZE] = data
        if not self.placed and self.libc.putenv(self.text) != 0:
            return False
        self.placed = True
        space[self.NAME] = data
        return True


class _Environment:
    """The worker's environment, given anew to each task at the price of what has changed."""

    def __init__(self):
        self.clean = dict(os.environ)
        self.clean.pop("GC_TASK_SANDBOX_DIR", None)
        self.own = {}  # variables of the last task
        self.given = None  # what it began with, as bytes: comparing those decodes nothing
        self.task_id = _TaskId()

    def get(self, name):
        return self.own.get(name, self.clean.get(name))

    def give(self, task_id, own):
        now = getattr(os.environ, "_data", None)
        if now is None or now != self.given:
            os.environ.clear()
            os.environ.update(self.clean)
            self.task_id.placed = False
        else:
            for key in self.own:
                if key in self.clean:
                    os.environ[key] = self.clean[key]
                elif key not in own:
                    del os.environ[key]
        if own:
            os.environ.update(own)
        if not self.task_id.put(task_id):
            os.environ["GC_TASK_UUID"] = task_id
        self.own = own
        self.given = None if now is None else dict(now)


class Worker:
    def __init__(self, settings):
        self.limit = settings.get("result_max") or 10 * 1024 * 1024
        self.run_dir = settings["run_dir"]
        self.sandbox = settings.get("sandbox", False)
        self.allowed = AllowList(settings.get("allowed_serializers"))
        self.details = dumps(details(settings.get("endpoint_id")), ensure_ascii=False)
        payload.USER = release_of(settings.get("user_python"))
        self.environment = None
        self.umask = os.umask(0o077)
        os.umask(self.umask)
        self.place = None  # the resolved run_dir, once it has been made

    def prepare(self, header):
        """Place and environment of the task; what goes wrong here is not the task's fault."""
        if self.environment is None:
            self.environment = _Environment()
        own = header.get("env") or {}
        os.umask(self.umask)
        if not os.path.isabs(self.run_dir):
            raise ValueError(f"run_dir must be an absolute path, it is {self.run_dir}")
        if self.sandbox:
            place = os.path.join(os.path.realpath(self.run_dir), header["id"])
            own["GC_TASK_SANDBOX_DIR"] = place
            self.environment.give(header["id"], own)
            os.makedirs(place, exist_ok=True)
            os.chdir(place)
            return
        self.environment.give(header["id"], own)
        try:
            os.chdir(self.place or os.path.realpath(self.run_dir))
        except FileNotFoundError:
            os.makedirs(self.run_dir, exist_ok=True)
            os.chdir(os.path.realpath(self.run_dir))
        self.place = self.place or os.getcwd()

    def execute(self, body, serializers):
        # The user's function must be called right here: error_text() counts frames.
        function, args, kwargs = load_task(body, self.allowed)
        with _TimeLimit(self.environment.get("GC_TASK_TIMEOUT")):
            value = function(*args, **kwargs)
        text = serialize(value, serializers)
        if len(text) > self.limit:
            raise MaxResultSizeExceeded(len(text), self.limit)
        return text

    def run(self, header, body):
        began = time.time_ns()
        error = "null"
        try:
            data = self.execute(body, header.get("serializers"))
        except BaseException as e:
            data, error = _error_result(e)
            error = dumps(error, ensure_ascii=False)
        # Written out: the general writer would take longer than a short task.
        return (
            f'\x01{{"message_type":"result","data":{{"task_id":{quoted(header["id"])},'
            f'"data":{quoted(data)},"details":{self.details},"error_details":{error},'
            f'"task_statuses":[{{"timestamp":{began},"state":"execution-start","actor":"worker"}},'
            f'{{"timestamp":{time.time_ns()},"state":"execution-end","actor":"worker"}}]}}}}'
        ).encode("utf-8", "backslashreplace")
