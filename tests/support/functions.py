"""Functions as a user's script has them, for tests that pack tasks themselves."""

import builtins
import types


def as_users(function):
    """In __main__, not in a test module: it is packed whole, not by its name in a module of ours."""
    space = {"__name__": "__main__", "__builtins__": builtins}
    f = types.FunctionType(function.__code__, space, function.__name__, function.__defaults__,
                           function.__closure__)
    f.__module__ = "__main__"
    return f
