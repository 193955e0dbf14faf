# python3 examples/some_task.py ENDPOINT_ID
import sys

from globus_compute_sdk import Executor

def some_task(*a, **k):
    return 1

mep_site_id = sys.argv[1]  # as acquired from step 1
with Executor(endpoint_id=mep_site_id) as ex:
    fut = ex.submit(some_task)
    print("Result:", fut.result())  # Reminder: blocks until result received
