"""From measured numbers to a table, a JSON document and a picture."""

from __future__ import annotations

import os
import pathlib
import platform
import time
from xml.sax.saxutils import escape


def machine() -> dict:
    cpu = next((line.split(":", 1)[1].strip()
                for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_gib": round(memory, 1),
            "kernel": platform.release(), "date": time.strftime("%Y-%m-%d")}


def value(numbers: dict | None, column: str) -> float | None:
    if not numbers or column not in numbers:
        return None
    found = numbers[column]
    return found["median"] if isinstance(found, dict) else found


def shown(number: float | None, unit: str) -> str:
    if number is None:
        return "–"
    if unit == "s" and number < 1:
        return f"{number * 1000:.3g} ms"
    text = f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
    return f"{text} {unit}"


def ratio(row: dict) -> float | None:
    theirs, ours = (value(row.get(kind), row["headline"]) for kind in ("original", "ours"))
    if not theirs or not ours:
        return None
    return ours / theirs if row["more_is_better"] else theirs / ours


def table(document: dict) -> str:
    lines = [["", "original", "ours", "ratio"]]
    for row in document["rows"]:
        cells = [row["title"]]
        for kind in ("original", "ours"):
            cells.append(row.get("failed", {}).get(kind) and "failed" or
                         shown(value(row.get(kind), row["headline"]), row["unit"]))
        times = ratio(row)
        cells.append(f"{times:,.1f}×" if times else "")
        lines.append(cells)
    for name, numbers in document["references"].items():
        lines.append([name, "", shown(numbers["median"], "s"), ""])
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    text = []
    for i, line in enumerate(lines):
        text.append("  ".join([line[0].ljust(widths[0])] +
                              [line[k].rjust(widths[k]) for k in (1, 2, 3)]).rstrip())
        if i == 0 or i == len(document["rows"]):
            text.append("  ".join("-" * w for w in widths))
    m = document["machine"]
    text.append(f"{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB, Linux {m['kernel']}, {m['date']}")
    return "\n".join(text)


def picture(document: dict) -> str:
    """Horizontal bars of the ratios, on a logarithmic scale."""
    import math

    rows = [(row, ratio(row)) for row in document["rows"]]
    rows = [(row, times) for row, times in rows if times]
    width, left, step = 900, 470, 30
    top = 56
    scale = (width - left - 170) / max(1.0, math.log10(max(times for _, times in rows)))
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + step * len(rows) + 40}" '
             'font-family="system-ui, sans-serif" font-size="14">',
             "<style>text{fill:#222}.n{fill:#555}.b{fill:#2a6f97}@media(prefers-color-scheme:dark)"
             "{text{fill:#eee}.n{fill:#aaa}.b{fill:#61a5c2}}</style>",
             '<text x="10" y="26" font-size="18" font-weight="600">How many times better than the '
             "Python original</text>"]
    for i, (row, times) in enumerate(rows):
        y = top + i * step
        bar = max(2.0, math.log10(max(times, 1.0)) * scale)
        theirs, ours = (shown(value(row[k], row["headline"]), row["unit"]) for k in ("original", "ours"))
        parts.append(f'<text x="{left - 10}" y="{y + 15}" text-anchor="end">{escape(row["title"])}</text>'
                     f'<rect class="b" x="{left}" y="{y}" width="{bar:.0f}" height="20" rx="3"/>'
                     f'<text x="{left + bar + 8:.0f}" y="{y + 15}" font-weight="600">{times:,.0f}×'
                     f'<tspan class="n" font-weight="400" font-size="12"> {theirs} → {ours}</tspan></text>')
    m = document["machine"]
    parts.append(f'<text class="n" x="10" y="{top + step * len(rows) + 24}" font-size="12">'
                 f'{escape(m["cpu"])}, {m["cores"]} cores, {m["date"]}; logarithmic scale</text></svg>')
    return "\n".join(parts)
