"""Payloads: from the text of a task to function and arguments."""

import binascii
import json
import pickle
import sys
import types

from _sallyport import bytecode
from _sallyport.standins import (
    CouldNotExecuteUserTaskError,
    DeserializationError,
    UnrecognizedProtocolVersion,
)

def _unbase64(text):
    return binascii.a2b_base64(text.encode("ascii", "ignore"))


USER = None  # (major, minor) of the Python that functions come from, when it is known


def _loads(data):
    # dill is pure Python and slow to import; pickles that do not speak of it need none of it.
    if b"dill" not in data and b"__builtin__" not in data:
        return pickle.loads(data)
    import dill

    if b"_create_code" not in data:
        return dill.loads(data)
    import io

    try:
        return bytecode.unpickler(dill, io.BytesIO(data), USER).load()
    except (DeserializationError, ImportError):
        raise  # the sentence about it, or a module that is missing here
    except Exception as error:
        if USER is not None and USER != bytecode.MINE:
            raise bytecode.refusal(bytecode.name(USER)) from error
        raise


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


class AllowList:
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


# A program sends the same function again and again: its code is read once.  What a task could leave
# behind in a function is not kept: each gets one of its own, made of parts that nothing can change.
FUNCTIONS = {}  # buffer → maker
FUNCTIONS_MAX = 64
FUNCTION_TEXT_MAX = 65536
FIXED = frozenset((type(None), bool, int, float, complex, str, bytes))


def _found_by_name(function, module):
    found = module
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is function


def _maker(function):
    """What makes the function anew, or None when it holds something that a task may change."""
    if type(function) is not types.FunctionType or function.__closure__ or function.__dict__:
        return None
    space = function.__globals__
    module = sys.modules.get(space.get("__name__"))
    if module is None or getattr(module, "__dict__", None) is not space:
        return None
    defaults = function.__defaults__
    if function.__kwdefaults__ or any(type(value) not in FIXED for value in defaults or ()):
        return None
    if function.__annotations__ or _found_by_name(function, module):
        return None
    code, name, qualname = function.__code__, function.__name__, function.__qualname__
    owner, doc = function.__module__, function.__doc__

    def make():
        made = types.FunctionType(code, space, name, defaults)
        made.__qualname__, made.__module__, made.__doc__ = qualname, owner, doc
        return made

    return make


def _remember(buffer, function):
    if len(buffer) > FUNCTION_TEXT_MAX:
        return
    try:
        maker = _maker(function)
    except Exception:  # a function of an unusual kind
        return
    if maker is not None:
        if len(FUNCTIONS) >= FUNCTIONS_MAX:
            FUNCTIONS.clear()
        FUNCTIONS[buffer] = maker


def _decode(buffer, allowed):
    if buffer in FUNCTIONS:
        return FUNCTIONS[buffer]()
    identifier = buffer[:3]
    if identifier not in STRATEGIES:
        raise DeserializationError(f"Invalid header: {identifier} in data payload")
    allowed.check(identifier)
    value = STRATEGIES[identifier][2](buffer[3:])
    if STRATEGIES[identifier][1] == "code":
        _remember(buffer, value)
    return value


def _unpack(body):
    """The task buffer of a packed task message."""
    if not body:
        raise ValueError("cannot detect_protocol_version on empty data")
    if body[0] != 1:
        raise UnrecognizedProtocolVersion(f"message had unknown protocol version {body[0]}")
    message = json.loads(str(body[1:], "utf-8", "surrogatepass"))
    kind = message["message_type"]
    if kind != "task":
        words = "".join(word.capitalize() for word in str(kind).split("_"))
        head = bytes(body[:8]).hex()
        raise CouldNotExecuteUserTaskError(
            f"Non Task-type message received: {words} (from: [{len(body)} bytes] 0x{head}...)"
        )
    return message["data"]["task_buffer"]


def load_task(body, allowed):
    parts = [_decode(piece, allowed) for piece in _pieces(_unpack(body))]
    if len(parts) != 3:
        raise AssertionError(f"Unpack expects 3 buffers, got {len(parts)}")
    return parts
