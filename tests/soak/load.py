"""One SDK user of the soak: rounds of tasks until the time is up, then a last look at what is open.

    load.py ENDPOINT SECONDS OUTCOMES

OUTCOMES gets one JSON object a line for each task: {"n", "task", "outcome", "text"}; "outcome" is
result, error (raised by the task), lost (a clear error of the endpoint), refused (the service never
took it) or open.  A connection that broke under the SDK is no outcome: the service is asked then.
"""

import json
import random
import sys
import time
from concurrent.futures import wait

from globus_compute_sdk import Client, Executor
from globus_compute_sdk.errors import TaskExecutionFailed

ENDPOINT, SECONDS, OUTCOMES = sys.argv[1], float(sys.argv[2]), sys.argv[3]
IN_FLIGHT = 16
PATIENCE_S = 240


def work(n, seconds, size, fails):
    import time

    time.sleep(seconds)
    if fails:
        raise ValueError(f"task {n} fails as it was told")
    return [n, "x" * size]


def insist(what, seconds=120):
    """The service may be away for a moment."""
    end = time.monotonic() + seconds
    while True:
        try:
            return what()
        except Exception as e:
            if time.monotonic() > end:
                raise
            print(f"again: {type(e).__name__} {str(e)[:200]}", flush=True)
            time.sleep(1)


def verdict(n, fails, error, value):
    if error is None:
        right = value is not None and value[0] == n and not fails
        return "result" if right else "wrong", repr(value)[:200]
    text = str(error)
    if f"task {n} fails as it was told" in text:
        return ("error" if fails else "wrong"), ""
    return "lost", text


def look_up(client, task, n, fails):
    """What the service says of a task whose future did not tell."""
    try:
        value = client.get_result(task)
    except TaskExecutionFailed as e:
        return verdict(n, fails, e, None)
    except Exception as e:
        return ("open", str(e)) if "pending" in str(e).lower() else ("unknown", f"{type(e).__name__}: {e}")
    return verdict(n, fails, None, value)


class Load:
    def __init__(self):
        self.client = insist(Client)
        self.function = insist(lambda: self.client.register_function(work))
        self.open = {}  # task id -> (n, fails)
        self.number = 0
        self.out = open(OUTCOMES, "a", buffering=1)

    def say(self, n, task, outcome, text=""):
        print(json.dumps({"n": n, "task": task, "outcome": outcome, "text": text}), file=self.out)

    def round(self):
        ex = Executor(endpoint_id=ENDPOINT, client=self.client)
        futures = {}
        try:
            for _ in range(IN_FLIGHT):
                n, fails = self.number, random.random() < 0.1
                size = 1_000_000 if random.random() < 0.05 else 10
                self.number += 1
                try:
                    future = ex.submit_to_registered_function(
                        self.function, args=(n, random.uniform(0, 1.2), size, fails))
                except Exception as e:
                    self.say(n, None, "refused", str(e))
                    continue
                futures[future] = (n, fails)
            wait(futures, PATIENCE_S)
        finally:
            ex.shutdown(wait=False, cancel_futures=False)
        if not any(future.task_id for future in futures):
            time.sleep(1)
        for future, (n, fails) in futures.items():
            task = str(future.task_id) if future.task_id else None
            cancelled = future.cancelled()
            error = future.exception(0) if future.done() and not cancelled else None
            if task is None:
                self.say(n, None, "refused", "cancelled by the SDK" if cancelled else str(error))
            elif not future.done() or cancelled or error is not None and not isinstance(
                    error, TaskExecutionFailed):
                print(f"task {task}: {type(error).__name__} {str(error)[:200]}", flush=True)
                self.open[task] = (n, fails)
            else:
                self.say(n, task, *verdict(n, fails, error, None if error else future.result(0)))

    def finish(self):
        end = time.monotonic() + PATIENCE_S
        while self.open:
            last = {}
            for task, (n, fails) in list(self.open.items()):
                outcome, text = insist(lambda t=task, a=n, b=fails: look_up(self.client, t, a, b))
                last[task] = (n, outcome, text)
                if outcome not in ("open", "unknown"):
                    del self.open[task]
                    self.say(n, task, outcome, text)
            if time.monotonic() > end:
                break
            time.sleep(2)
        for task in self.open:
            n, outcome, text = last[task]
            self.say(n, task, outcome, text)


def main():
    load = Load()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            load.round()
        except Exception as e:
            print(f"round: {type(e).__name__} {e}", flush=True)
            time.sleep(1)
    load.finish()
    print("finished", load.number, flush=True)


if __name__ == "__main__":
    main()
