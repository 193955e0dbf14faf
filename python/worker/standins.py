"""Stand-ins for the few names of other packages that payloads and error texts carry.

The Globus Compute SDK is never needed here: an installed one replaces what stands in for it.
"""

import os
import signal


class StandIns:
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
