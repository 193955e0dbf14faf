"""Results: from objects to text."""

import binascii
import json
import pickle
import sys

from _sallyport.standins import SerializationError, ShellResult

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


GROUP = 57 * 256  # bytes


def _lines(data):
    text = binascii.b2a_base64(data, newline=False).decode("ascii")
    return "\n".join([text[i : i + 76] for i in range(0, len(text), 76)]) + "\n"


def _base64(data):
    # 76 characters a line, as codecs.encode(..., "base64") writes.  In groups: the lines of a large
    # result all at once would take twice its size, and the worker would keep some of that.
    if len(data) <= 57:
        return binascii.b2a_base64(data).decode("ascii")
    return "".join([_lines(data[i : i + GROUP]) for i in range(0, len(data), GROUP)])


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


def serialize(value, paths):
    kind = "code" if callable(value) else "data"
    if not paths:
        if type(value) in PLAIN:
            return "00\n" + _base64(pickle.dumps(value))
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
