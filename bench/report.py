"""From measured numbers to a table."""

from __future__ import annotations

import os
import pathlib
import platform
import time


def machine() -> dict:
    cpu = next((line.split(":", 1)[1].strip()
                for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_gib": round(memory, 1),
            "kernel": platform.release(), "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
            "python": platform.python_version(), "load": round(os.getloadavg()[0], 1), "date": time.strftime("%Y-%m-%d")}


def median(numbers: dict | None, column: str) -> float | None:
    """Of what was measured once or often."""
    if not numbers or column not in numbers:
        return None
    found = numbers[column]
    return found["median"] if isinstance(found, dict) else found


def shown(number: float | None, unit: str) -> str:
    if number is None:
        return ""
    if unit in ("s", "ms"):
        if number == 0:
            return "0 s"
        seconds = number if unit == "s" else number / 1000
        for size, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if abs(seconds) >= size or name == "µs":
                return f"{seconds / size:.{2 if abs(seconds) < 10 * size else 1 if abs(seconds) < 100 * size else 0}f} {name}"
    text = f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.3g}"
    return f"{text.replace(',', ' ')} {unit}".strip()


def spread_of(numbers: dict | None, column: str) -> str:
    """How far the repeated measurements lie apart, in percent of the median: "-3 +12 %"."""
    found = (numbers or {}).get(column)
    if not isinstance(found, dict) or found["n"] < 2 or not found["median"]:
        return ""
    low, high = ((found[key] / found["median"] - 1) * 100 for key in ("low", "p95"))
    return f"{low:+.0f} {high:+.0f} %"


def ratio(entry: dict, column: dict) -> float | None:
    """How many times the original needs of what ours needs."""
    theirs, ours = (median(entry.get(kind), column["key"]) for kind in ("original", "ours"))
    if not theirs or not ours:
        return None
    return ours / theirs if column["key"] == "per_second" else theirs / ours


def times(number: float | None) -> str:
    return f"{number:,.0f}×".replace(",", " ") if number and number >= 10 else f"{number:.1f}×" if number else ""


def lines_of(entry: dict) -> list[list[str]]:
    lines = []
    for i, column in enumerate(entry["columns"]):
        line = [column["title"] if i == 0 else "    " + column["title"]]
        for kind in ("original", "ours"):
            numbers = entry.get(kind) or (kind == "ours" and entry.get("reference")) or None
            line += [entry["failed"].get(kind) and "failed" or shown(median(numbers, column["key"]), column["unit"]),
                     spread_of(numbers, column["key"])]
        lines.append([*line, times(ratio(entry, column))])
    return lines


def table(document: dict) -> str:
    rows = [line for entry in document["rows"] if "reference" not in entry for line in lines_of(entry)]
    references = [[name, "", "", shown(found["median"], "s"), spread_of({"s": found}, "s"), ""]
                  for name, found in document["references"].items()]
    references += [line for entry in document["rows"] if "reference" in entry for line in lines_of(entry)]
    head = ["median; low and 95th percentile beside it", "original", "", "ours", "", "ratio"]
    all_lines = [head, *rows, *references]
    widths = [max(len(line[i]) for line in all_lines) for i in range(len(head))]

    def text(line: list[str]) -> str:
        return "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:]))]).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    out = [text(head), rule, *map(text, rows)]
    if references:
        out += [rule, "references: what nobody can leave out", *map(text, references)]
    return "\n".join([*out, rule, machine_line(document)])


def machine_line(document: dict) -> str:
    m = document["machine"]
    return (f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, Linux {m['kernel']}, {m['system']}, "
            f"Python {m['python']}, {m['date']}, load {m['load']}{', --quick' if document['quick'] else ''}")
