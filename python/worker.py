"""The Python side of a node agent: reads a task, runs it, writes the result.

The agent starts this file once per node as a fork server and asks it for workers; each worker serves
one socket of its own.  The parts stand in the folder beside it, read in the order of PARTS:

    standins     names of other packages that payloads and error texts carry
    bytecode     byte code of another Python is refused
    payload      from the text of a task to function and arguments
    results      from a value to the text of a result
    task         one task: place, environment, run, the message of its result
    channel      frames from and to the agent
    forkserver   forks workers, tells who has ended

Standard library only, every CPython from 3.8 on; dill is used when it is there and needed, the
Globus Compute SDK never.  The outside behaviour is that of the worker of globus-compute-endpoint
4.19.
"""

import os
import sys
import types

PARTS = ("standins", "bytecode", "payload", "results", "task", "channel", "forkserver")


def load(folder):
    """The parts as modules of a package that is found nowhere else.  Their code has no file name that
    a traceback could look into: what users see are lines of their own."""
    package = types.ModuleType("_sallyport")
    package.__path__ = []
    sys.modules["_sallyport"] = package
    for name in PARTS:
        module = types.ModuleType("_sallyport." + name)
        sys.modules[module.__name__] = module
        setattr(package, name, module)
        with open(os.path.join(folder, name + ".py"), encoding="utf-8") as f:
            exec(compile(f.read(), "<sallyport>", "exec"), module.__dict__)
    return package


def main(control_fd):
    own = os.path.splitext(os.path.abspath(sys.argv[1]))[0]
    load(own).forkserver.main(control_fd)
