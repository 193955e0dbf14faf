"""What a pair of a manager and a user endpoint must be able to do, written once for all pairs.

A scenario is a script for the unmodified SDK.  It prints what a user sees, as JSON, with say(); that
is the outcome.  `expect` is the outcome of everything that works.  `during` is what the test does
meanwhile: the script calls reached() and goes on when that is done.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import actions

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"

TEMPLATE = """\
engine:
{% if MPI is defined %}
  type: GlobusMPIEngine
  mpi_launcher: mpiexec
  max_workers_per_block: 1
{% else %}
  type: GlobusComputeEngine
  max_workers_per_node: 2
  cores_per_worker: 0.1
  run_in_sandbox: {{ SANDBOX|default(false) }}
{% endif %}
{% if MUST is defined %}
  working_dir: {{ MISSING }}
{% endif %}
  address: 127.0.0.1
  encrypted: true
  strategy: simple
  job_status_kwargs:
    max_idletime: 600
  provider:
    type: LocalProvider
    worker_init: {{ WORKER_INIT|default("") }}
    launcher:
      type: SimpleLauncher
    init_blocks: 1
    min_blocks: 0
    max_blocks: 1
{% if BROKEN is defined %}
no_such_key: 1
{% endif %}
heartbeat_period: 5
idle_heartbeats_soft: {{ SOFT|default(0) }}
idle_heartbeats_hard: 5760
"""

SCHEMA = """{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "properties": {
    "NODES_PER_BLOCK": {"type": "integer", "maximum": 4},
    "SOFT": {"type": "integer"}
  }
}"""

# The first that submits by v3, and two between it and today's.
OLD_SDKS = ["2.3.0", "2.28.0", "3.16.1"]

WORKER_PYTHONS = ["3.8", "3.9", "3.10", "3.12", "3.13"]

# Stands before each script.
PREAMBLE = """\
import json, os, re, sys, time
from globus_compute_sdk import Client, Executor
ENDPOINT, CONFIG, NOTE = "<ENDPOINT>", json.loads('''<CONFIG>'''), "<NOTE>"

def say(value):
    print("OUTCOME " + json.dumps(value, default=repr), flush=True)

def said(e):
    # The name of the exception, and the last line of what the other side wrote.
    text = re.split("\\n\\nThis appears to be an error with serialization|\\n[*]{5}", str(e))[0]
    lines = [line.strip() for line in text.splitlines() if line.strip(" +-")]
    return type(e).__name__ + ": " + (lines[-1] if lines else "")

def outcome(future, seconds=150):
    try:
        return future.result(seconds)
    except BaseException as e:
        return said(e)

def executor(**more):
    if "api_burst_limit" in Executor.__init__.__code__.co_varnames:
        more.setdefault("api_burst_limit", 100)  # else it waits after four submits
    return Executor(endpoint_id=ENDPOINT, user_endpoint_config=CONFIG, **more)

def reached(seconds=150):
    open(NOTE, "w").close()
    end = time.monotonic() + seconds
    while os.path.exists(NOTE):
        assert time.monotonic() < end, "the test did not go on"
        time.sleep(0.05)

"""


@dataclass(frozen=True)
class Phrase:
    """An outcome that holds this, whatever stands around it."""

    text: str


@dataclass(frozen=True)
class Scenario:
    name: str
    script: str
    expect: Any
    user: int | str = 0  # a number of an account's user, or the name of a user of the service
    config: dict = field(default_factory=dict)
    during: Callable | None = None  # called with the cell
    core: bool = False  # short and central: a part of each run, in each cell
    slow: bool = False  # only when everything is asked for
    needs: Callable[[], str | None] | None = None  # the reason why it can't run here
    sdk: str = ""  # another release of the SDK
    cells: str = ".*"  # regular expression; elsewhere it has no meaning


def example(name: str, output: str) -> Scenario:
    """A script of examples/ as it is; what it prints, as a regular expression."""
    return Scenario(f"examples/{name}", f"""
        import subprocess
        done = subprocess.run([sys.executable, "{EXAMPLES / name}", ENDPOINT], capture_output=True, text=True)
        say([done.returncode, bool(re.fullmatch(r"{output}", done.stdout)) or done.stdout + done.stderr])
        """, [0, True])


SUBMIT = """
    with executor() as ex:
        say(outcome(ex.submit(len, [])))
    """

def old_sdk(release: str) -> Scenario:
    """What every release does: a result, an exception, a refusal."""
    return Scenario(f"SDK {release}: result, exception, refusal", """
        def double(x):
            return 2 * x
        def fails():
            raise ZeroDivisionError("mine")
        with executor() as ex:
            out = [outcome(ex.submit(double, 21)), outcome(ex.submit(fails))]
        CONFIG = {"NODES_PER_BLOCK": 9}
        with executor() as ex:
            out.append("9 is greater than the maximum of 4" in outcome(ex.submit(double, 1)))
        say(out)
        os._exit(0)
        """, [42, "TaskExecutionFailed: ZeroDivisionError: mine", True], sdk=release, slow=release != OLD_SDKS[0])


PYTHONS = pathlib.Path(os.environ.get("SALLYPORT_CACHE", "/var/cache/sallyport")) / "pythons"


def worker_python(version: str) -> Scenario:
    """Another Python below the worker than the SDK's, which is Debian's 3.11."""
    program = PYTHONS / version / "bin" / "python3"
    return Scenario(f"worker's Python {version}, SDK's 3.11: functions as source", """
        from globus_compute_sdk import serialize as s
        def versions(x):
            import sys
            return [x, "%d.%d" % sys.version_info[:2]]
        out = []
        for code in ("DillCodeSource", "PureSourceTextInspect", "AllCodeStrategies"):
            with executor() as ex:
                ex.serializer = s.ComputeSerializer(strategy_code=getattr(s, code)(), strategy_data=s.JSONData())
                out.append(outcome(ex.submit(versions, 7), 60))
        say(out)
        os._exit(0)
        """, [[7, version]] * 3, config={"WORKER_INIT": f"export GC_WORKER_PYTHON={program}"}, slow=True, cells=".*/ours",
                    needs=lambda: None if program.exists() else f"no Python {version} in {PYTHONS}")


LOST = ("TaskExecutionFailed: parsl.executors.high_throughput.errors.WorkerLost: "
        "Task failure due to loss of worker N on host H")

SCENARIOS = [
    Scenario("one task", """
        def some_task(*a, **k):
            return 1
        with executor() as ex:
            say(outcome(ex.submit(some_task)))
        """, 1, core=True),
    Scenario("exception", """
        def fails():
            raise ZeroDivisionError("mine")
        with executor() as ex:
            say(outcome(ex.submit(fails)))
        """, "TaskExecutionFailed: ZeroDivisionError: mine", core=True),
    Scenario("runs as the mapped account", """
        def who():
            import getpass, os
            return [getpass.getuser(), os.getuid(), os.path.expanduser("~"), os.getgroups() == [os.getgid()]]
        with executor() as ex:
            say(outcome(ex.submit(who)))
        """, ["<ACCOUNT>", "<UID>", "<HOME>", True], core=True),
    example("some_task.py", r"Result: 1\n"),
    example("account_id.py", r"Result: 1\n"),
    example("jitter_double.py", r"(Result: \(\d+, [\d.]+\)\n){100}"),
    Scenario("two users at once", """
        def who():
            import getpass, time
            time.sleep(2)
            return getpass.getuser()
        with executor() as ex:
            futures = [ex.submit(who) for i in range(4)]
            reached()
            say([outcome(f) for f in futures])
        """, ["<ACCOUNT>"] * 4, during=actions.another_user_works),
    Scenario("two configurations at once", """
        def word():
            import os
            return os.environ["CONFIGURATION"]
        def of(word):
            return Executor(endpoint_id=ENDPOINT, user_endpoint_config={
                "WORKER_INIT": f"export CONFIGURATION={word}"})
        with of("one") as one, of("two") as two:
            say([outcome(f) for f in [one.submit(word), two.submit(word), one.submit(word)]])
        """, ["one", "two", "one"]),
    Scenario("schema refuses", SUBMIT, Phrase("9 is greater than the maximum of 4"),
             config={"NODES_PER_BLOCK": 9}, core=True),
    Scenario("template variable missing", SUBMIT, Phrase("'MISSING' is undefined"), config={"MUST": True}),
    Scenario("user endpoint that can't start: its reason reaches the user", SUBMIT, Phrase("no_such_key"),
             config={"BROKEN": True}),
    Scenario("identity maps to nobody", SUBMIT, Phrase("Identity failed to map to a local user name"),
             user="eve@elsewhere.org", core=True),
    Scenario("local account unknown", SUBMIT,
             Phrase("Identity mapped to a local user name, but local user does not exist"),
             user="gone@example.org"),
    Scenario("exceptions of every kind", """
        def own():
            class Own(Exception):
                def __init__(self, a, b):
                    super().__init__(a)
            raise Own("a", "b")
        def chained():
            try:
                {}["x"]
            except KeyError as e:
                raise ValueError("second") from e
        def syntax():
            exec("def (")
        def recursion():
            def f(n):
                return f(n + 1)
            return f(0)
        def memory():
            return bytearray(1 << 62)
        def unpicklable():
            return (i for i in range(3))
        def two_lines():
            raise ValueError("first\\nsecond")
        def no_words():
            raise ValueError
        def bytes_beyond_text():
            raise ValueError("\\udcff \\x00 \\U0001f600")
        with executor() as ex:
            futures = [ex.submit(f) for f in (own, chained, syntax, recursion, memory, unpicklable,
                                              two_lines, no_words, bytes_beyond_text)]
            say([outcome(f) for f in futures])
        """, ["TaskExecutionFailed: " + line for line in (
            "own.<locals>.Own: a", "ValueError: second", "SyntaxError: invalid syntax",
            "RecursionError: maximum recursion depth exceeded", "MemoryError",
            "globus_compute_sdk.errors.error_types.SerializationError: Serialization failed: All strategies failed.",
            "second", "ValueError", "ValueError: \\udcff \x00 \U0001f600")]),
    Scenario("a worker that ends: SystemExit, os._exit, SIGSEGV", """
        def system_exit():
            raise SystemExit(3)
        def exit_now():
            import os
            os._exit(3)
        def segfault():
            import os, signal
            os.kill(os.getpid(), signal.SIGSEGV)
        def keyboard():
            raise KeyboardInterrupt()
        def base():
            raise BaseException("base")
        out = []
        with executor() as ex:
            for f in (system_exit, exit_now, segfault, keyboard, base):
                out.append(re.sub(r"[0-9]+ on host .*", "N on host H", outcome(ex.submit(f), 60)))
                print(out[-1], flush=True)
            out.append(outcome(ex.submit(abs, -3), 60))
            say(out)
            os._exit(0)
        """, ["TaskExecutionFailed: SystemExit: 3", LOST, LOST, "TaskExecutionFailed: KeyboardInterrupt",
              "TaskExecutionFailed: BaseException: base", 3]),
    Scenario("ShellFunction: good, failing, timed out", """
        from globus_compute_sdk import ShellFunction
        def shown(r):
            if isinstance(r, str):
                return r
            return [r.returncode, r.stdout, r.exception_name]
        with executor() as ex:
            futures = [ex.submit(ShellFunction(cmd, **more), **named) for cmd, more, named in [
                ("echo {word}; printf 2", {}, {"word": "hello"}),
                ("echo out; exit 7", {}, {}),
                ("no-such-command", {}, {}),
                ("echo first; sleep 5", {"walltime": 1}, {}),
                ("seq 20", {"snippet_lines": 2}, {}),
            ]]
            say([shown(outcome(f)) for f in futures])
        """, [[0, "hello\n2", None], [7, "out\n", "subprocess.CalledProcessError"],
              [127, "", "subprocess.CalledProcessError"], [124, "first\n", "subprocess.TimeoutExpired"],
              [0, "19\n20\n", None]]),
    Scenario("ShellFunction in a sandbox", """
        from globus_compute_sdk import ShellFunction
        with executor() as ex:
            a, b = [outcome(ex.submit(ShellFunction("pwd; touch here; ls"))) for i in range(2)]
            if isinstance(a, str):
                say(a)
            else:
                first = [r.stdout.splitlines()[0] for r in (a, b)]
                say([[len(f.split("/")[-1]) for f in first], "here" in a.stdout, a.stderr, first[0] != first[1]])
        """, [[36, 36], True, "", True], config={"SANDBOX": True}),
    Scenario("result of 10 MiB, and one byte more", """
        def text(n):
            return "x" * n
        most = 10 * 1024 * 1024 - len("11\\n") - len('""')
        with executor(result_serializers=["globus_compute_sdk.serialize.JSONData"]) as ex:
            good, over = outcome(ex.submit(text, most)), outcome(ex.submit(text, most + 1))
            say([len(good) - most if len(good) > 10000 else good, over if len(over) < 10000 else len(over)])
        """, [0, "TaskExecutionFailed: MaxResultSizeExceeded(10485761, 10485760)"]),
    Scenario("source-registered function", """
        source = "import math\\ndef area(r):\\n    return round(math.pi * r * r, 3)\\n"
        function = Client().register_source_code(source, "area")
        with executor() as ex:
            say(outcome(ex.submit_to_registered_function(function, args=(2,))))
        """, 12.566),
    Scenario("registered function", """
        def twice(x, plus=0):
            return 2 * x + plus
        function = Client().register_function(twice)
        with executor() as ex:
            say(outcome(ex.submit_to_registered_function(function, args=(4,), kwargs={"plus": 1})))
        """, 9),
    Scenario("serializers of functions, arguments, results", """
        from globus_compute_sdk import serialize as s
        def double(x):
            import math
            return math.floor(x["n"] * 2)
        def no_json():
            return {1, 2}
        wrong, results = {}, []
        count = 0
        for code in ("DillCode", "DillCodeSource", "DillCodeTextInspect", "PureSourceDill",
                     "PureSourceTextInspect", "CombinedCode", "AllCodeStrategies"):
            with executor() as ex:  # a new one: it remembers functions that it has registered
                futures = {}
                for data in ("DillDataBase64", "JSONData", "AllDataStrategies"):
                    ex.serializer = s.ComputeSerializer(strategy_code=getattr(s, code)(),
                                                        strategy_data=getattr(s, data)())
                    futures[code + " " + data] = ex.submit(double, {"n": 21})
                    while not futures[code + " " + data].task_id:
                        time.sleep(0.05)
                count += len(futures)
                for name, future in futures.items():
                    if (got := outcome(future)) != 42:
                        wrong[name] = got
        for names in (["JSONData"], ["DillDataBase64", "JSONData"], ["AllDataStrategies"]):
            names = ["globus_compute_sdk.serialize." + n for n in names]
            with executor(result_serializers=names) as ex:
                results.append(outcome(ex.submit(double, {"n": 2})))
                if len(names) == 1:
                    results.append(outcome(ex.submit(no_json)))
        say([count, wrong, results])
        """, [21, {}, [
            4, "TaskExecutionFailed: globus_compute_sdk.errors.error_types.SerializationError: "
               "Serialization failed: All strategies failed.", 4, 4, "{1, 2}"]], slow=True),
    Scenario("Client: batch, status, results", """
        def half(x):
            if x == 5:
                raise ValueError("five")
            return x / 2
        client = Client()
        function = client.register_function(half)
        batch = client.create_batch(user_endpoint_config=CONFIG)
        for i in range(6):
            batch.add(function, args=(i,))
        ids = client.batch_run(ENDPOINT, batch)["tasks"][function]
        end = time.monotonic() + 150
        while time.monotonic() < end:
            states = client.get_batch_result(ids[:5])
            if not any(states[i]["pending"] for i in ids[:5]):
                break
            time.sleep(1)
        failure = "pending"
        while failure == "pending" and time.monotonic() < end:
            try:
                failure = client.get_task(ids[5])["pending"] and "pending"
                time.sleep(1)
            except Exception as e:
                failure = said(e)
        say([[client.get_result(i) for i in ids[:5]], failure, client.get_task(ids[0])["status"],
             sorted({s["status"] for s in states.values()})])
        """, [[0.0, 0.5, 1.0, 1.5, 2.0], "TaskExecutionFailed: ValueError: five", "success", ["success"]]),
    Scenario("another Executor takes up the task group", """
        def slow(x):
            import time
            time.sleep(2)
            return x
        if len(sys.argv) == 1:
            import subprocess
            group = subprocess.run([sys.executable, __file__, "begin"], capture_output=True, text=True).stdout.strip()
            with executor(task_group_id=group) as ex:
                futures = list(ex.reload_tasks())
                say(sorted(str(outcome(f)) for f in futures))
        else:  # ends with nothing received
            ex = executor()
            futures = [ex.submit(slow, i) for i in range(4)]
            while not all(f.task_id for f in futures):
                time.sleep(0.1)
            print(ex.task_group_id, flush=True)
            os._exit(0)
        """, ["0", "1", "2", "3"]),
    Scenario("MPIFunction", """
        from globus_compute_sdk import MPIFunction
        with executor() as ex:
            ex.resource_specification = {"num_nodes": 1, "ranks_per_node": 2}
            r = outcome(ex.submit(MPIFunction("sh -c 'echo rank $PMI_RANK of $PMI_SIZE'")))
            say(r if isinstance(r, str) else [r.returncode, sorted(r.stdout.splitlines()) or r.stderr])
        """, [0, ["rank 0 of 2", "rank 1 of 2"]],
             config={"MPI": True, "WORKER_INIT": actions.MPI_INIT}, needs=actions.no_hydra),
    Scenario("idle: leaves, and comes back for the next task", """
        def parent():
            import os
            return os.getppid()
        with executor() as ex:
            first = outcome(ex.submit(parent))
            reached()
            second = outcome(ex.submit(parent))
            say([isinstance(first, int) or first, isinstance(second, int) or second, first != second])
        """, [True, True, True], config={"SOFT": 2}, slow=True, during=actions.gone_when_idle),
    Scenario("user endpoint killed with tasks waiting", """
        def nap(x):
            import time
            time.sleep(2)
            return x
        ex = executor()
        outcome(ex.submit(nap, 0))
        futures = [ex.submit(nap, i) for i in range(6)]
        while not all(f.task_id for f in futures):
            time.sleep(0.1)
        time.sleep(1)
        reached()
        last = outcome(ex.submit(nap, 9))
        end = time.monotonic() + 30
        while time.monotonic() < end and not all(f.done() for f in futures):
            time.sleep(0.5)
        say([last, [outcome(f, 0) if f.done() else "nothing" for f in futures]])
        os._exit(0)
        """, [9, [0, 1, 2, 3, 4, 5]], config={"WORKER_INIT": "export KILLED=1"}, slow=True,
             during=actions.user_endpoint_killed),
    Scenario("broker restarted", """
        ex = executor()
        first = outcome(ex.submit(abs, -1))
        reached()
        say([first, outcome(ex.submit(abs, -2), 120)])
        os._exit(0)
        """, [1, 2], slow=True, during=actions.broker_restarted),
    Scenario("credentials revoked: refreshed through memfd", """
        def parent():
            import os
            return os.getppid()
        ex = executor()
        first = outcome(ex.submit(parent))
        reached()
        second = outcome(ex.submit(parent), 140)
        say([isinstance(first, int) or first, first == second or second])
        os._exit(0)
        """, [True, True], config={"WORKER_INIT": "export REVOKED=1"}, slow=True,
             during=actions.credentials_revoked),
    Scenario("manager stopped (its user endpoints end) and started", """
        with executor() as ex:
            first = outcome(ex.submit(abs, -1))
            reached()
            say([first, outcome(ex.submit(abs, -2))])
        """, [1, 2], during=actions.manager_restarted),
    *(old_sdk(release) for release in OLD_SDKS),
    *(worker_python(version) for version in WORKER_PYTHONS),
]
