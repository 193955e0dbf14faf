"""Byte code belongs to one minor release of Python: that of another is refused before it can crash.

A function's byte code does not say who made it, but it shows: an instruction that a release does not
have, or the one (RESUME) that each function begins with from 3.11 on.  What the user's side said of
itself (settings: user_python) decides where both are possible.
"""

import sys

from _sallyport.standins import DeserializationError

# release: instructions as bits, the number of RESUME or None, {instruction: cache entries behind it}
RELEASES = {
    (3, 9): (
        0x3F3C1FE7BC767FFFF7FEFCFFFFFBDF00003FDB9E7E,
        None,
        {},
    ),
    (3, 10): (
        0x3F3D1FE7BE76FFFFFFFEFCFFFFFBDE0007FFDB9E7E,
        None,
        {},
    ),
    (3, 11): (
        0x1F87D39BF5FFF7DFDFFFFFFFC0CF0307E003BC2009E06,
        151,
        {
            25: 4, 60: 1, 92: 1, 95: 4, 106: 4, 107: 2, 116: 5, 122: 1, 160: 10, 166: 1,
            171: 4,
        },
    ),
    (3, 12): (
        0x7FFFE000000000000001F83C39EFFFFFFFFC7FFFFEA80CB030FE003BCE029A3E,
        151,
        {
            25: 1, 60: 1, 92: 1, 93: 1, 95: 4, 106: 9, 107: 1, 116: 4, 122: 1, 123: 1,
            141: 1, 171: 3,
        },
    ),
    (3, 13): (
        0x7FFFF000000000000000000000200000007FFFFFFFFFFFFFFFFFFFFFFFFFFFF6,
        149,
        {
            91: 4, 45: 1, 117: 1, 58: 1, 59: 1, 5: 1, 72: 1, 93: 1, 82: 9, 108: 4, 53: 3,
            39: 1, 104: 1, 77: 1, 40: 3, 100: 1, 97: 1, 98: 1, 99: 1,
        },
    ),
    (3, 14): (
        0xFFFFFC0000000000000000000000000101FFFFFFFFFFFFFFFFFFFFFFFFFFFFF6,
        128,
        {
            92: 4, 44: 5, 119: 1, 56: 1, 57: 1, 70: 1, 96: 1, 80: 9, 110: 4, 52: 3, 55: 3,
            38: 1, 106: 1, 75: 1, 39: 3, 103: 1, 100: 1, 101: 1, 102: 1,
        },
    ),
}
START = 16  # instructions within which RESUME stands
MINE = sys.version_info[:2]
SOURCE = "globus_compute_sdk.serialize.AllCodeStrategies"


def release_of(version):
    """(3, 11) of "3.11.2"; None when that says nothing."""
    parts = str(version or "").split(".")
    if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
        return None
    return int(parts[0]), int(parts[1])


def _own():
    import opcode

    bits = sum(1 << number for number in set(opcode.opmap.values()) if 0 < number < 256)
    caches = getattr(opcode, "_inline_cache_entries", {})
    if isinstance(caches, dict):
        caches = {opcode.opmap[key]: n for key, n in caches.items() if key in opcode.opmap}
    else:
        caches = dict(enumerate(caches))
    return bits, opcode.opmap.get("RESUME"), caches


def _fits(instructions, known, resume, caches):
    if resume is not None and resume not in instructions[:START]:
        return False
    at = 0
    while at < len(instructions):
        number = instructions[at]
        behind = caches.get(number, 0)
        if not known >> number & 1 or any(instructions[at + 1 : at + 1 + behind]):
            return False
        at += 1 + behind
    return True


_SEEN = []  # whether our own row is that of the running interpreter


def makers(code):
    """The releases that may have made these bytes."""
    releases = RELEASES
    if not _SEEN:
        releases[MINE] = _own()
        _SEEN.append(MINE)
    return [
        release for release, signs in sorted(releases.items()) if _fits(code[::2], *signs)
    ]


def name(release):
    return "{}.{}".format(*release)


def refusal(theirs):
    mine = ".".join(map(str, sys.version_info[:3]))
    return DeserializationError(
        f"The function came as byte code of Python {theirs}, which the Python {mine} of this worker "
        f"cannot run: submit it from Python {name(MINE)}, or send its source "
        f"(ComputeSerializer with {SOURCE}), or ask for workers with Python {theirs}"
    )


def check(code, declared):
    """Raises when the bytes are of another release.  declared: the user's release, or None."""
    possible = makers(code)
    if MINE in possible and (declared is None or declared == MINE or declared not in possible):
        return
    if declared in possible or (declared not in (None, MINE) and not possible):
        raise refusal(name(declared))
    raise refusal(" or ".join(map(name, possible)) or "another release")


def _instructions_of(arguments):
    """dill's order: line table (some releases), numbers, instructions, ..."""
    for place, value in enumerate(arguments):
        if place > 0 and isinstance(value, bytes):
            return value
    return b""


_CHECKED = []  # the class, made once


def _checked(dill):
    class Checked(dill.Unpickler):
        def find_class(self, module, name):
            found = super().find_class(module, name)
            if name != "_create_code":
                return found

            declared = self.declared  # not self: its memo keeps what it made, and us with it

            def create(*arguments):
                check(_instructions_of(arguments), declared)
                return found(*arguments)

            return create

    return Checked


def unpickler(dill, file, declared):
    """One that looks at byte code before a code object is made of it: that alone can crash."""
    if not _CHECKED:
        _CHECKED.append(_checked(dill))
    made = _CHECKED[0](file)
    made.declared = declared
    return made
