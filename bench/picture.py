"""The picture for the README: how many times of ours the original needs, on a logarithmic scale."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

from report import median, ratio, shown, times

# Row, column and words of what is shown, by group.
SHOWN = (
    ("Time", (
        ("version", "seconds", "a command: version"),
        ("manager", "seconds", "manager started → ready"),
        ("cold", "seconds", "user endpoint started → first result"),
        ("first", "seconds", "first task of a user, in the SDK"),
        ("warm", "seconds", "warm task, published → result"),
        ("warm_100k", "seconds", "… with 100 kB of arguments"),
        ("warm_5m", "seconds", "… with 5 MB of arguments"),
        ("waiting", "seconds", "5 000 waiting tasks"),
        ("thousand", "seconds", "1 000 tasks through the SDK"),
        ("twenty_users", "seconds", "20 new users at once"),
    )),
    ("CPU time", (
        ("cold", "cpu_ms", "user endpoint started → first result"),
        ("waiting", "cpu_ms", "a task of 5 000 waiting ones"),
        ("idle", "cpu_ms_per_minute", "idle user endpoint, a minute"),
    )),
    ("Memory", (
        ("manager", "mib", "manager"),
        ("idle", "mib", "idle user endpoint"),
        ("block", "mib", "… with two warm workers"),
        ("twenty_users", "mib", "20 users at work"),
    )),
    ("Disk", (("size", "mib", "installed"),)),
)

WIDTH, LEFT, RIGHT, STEP, TOP = 880, 352, 700, 26, 86
STYLE = """
.card{fill:#fff;stroke:#d0d7de}.t{fill:#1f2328}.n{fill:#656d76}.g{stroke:#d0d7de}.l{stroke:#afb8c1}
.a{fill:#0969da}.o{fill:#bf8700}.at{fill:#0969da}
@media(prefers-color-scheme:dark){.card{fill:#0d1117;stroke:#30363d}.t{fill:#e6edf3}.n{fill:#8d96a0}
.g{stroke:#30363d}.l{stroke:#484f58}.a{fill:#4493f8}.o{fill:#d29922}.at{fill:#4493f8}}
"""


def lines(document: dict) -> list[tuple]:
    """(heading,) or (words, ours, original, ratio) for each line."""
    entries = {entry["name"]: entry for entry in document["rows"]}
    out: list[tuple] = []
    for heading, rows in SHOWN:
        group = []
        for name, key, words in rows:
            entry = entries.get(name)
            column = entry and next((c for c in entry["columns"] if c["key"] == key), None)
            if entry and column and (found := ratio(entry, column)):
                ours, theirs = (shown(median(entry[kind], key), column["unit"]) for kind in ("ours", "original"))
                group.append((words, ours, theirs, found))
        if group:
            out += [(heading,), *group]
    return out


def draw(document: dict) -> str:
    rows = lines(document)
    most = max((row[3] for row in rows if len(row) > 1), default=10.0)
    decades = max(1, math.ceil(math.log10(most) - 0.02))
    height = TOP + STEP * len(rows) + 44

    def x(number: float) -> float:
        return LEFT + (RIGHT - LEFT) * math.log10(max(number, 0.5)) / decades

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img" '
           'aria-label="Sallyport beside the Python original" font-size="14" '
           "font-family=\"system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif\">",
           f"<style>{STYLE}</style>",
           f'<rect class="card" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
           '<text class="t" x="20" y="32" font-size="18" font-weight="600">What it takes, beside '
           "globus-compute-endpoint 4.19.0</text>",
           f'<circle class="a" cx="26" cy="54" r="5.5"/><text class="n" x="38" y="59">Sallyport</text>'
           f'<circle class="o" cx="120" cy="54" r="5.5"/><text class="n" x="132" y="59">the Python original; '
           "to the right means more, each line is ten times the one before</text>"]
    for decade in range(decades + 1):
        at = x(10 ** decade)
        out.append(f'<line class="g" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{height - 40}"/>'
                   f'<text class="n" x="{at:.1f}" y="{TOP - 6}" text-anchor="middle" font-size="11">'
                   f'{10 ** decade:,}×</text>'.replace(",", " "))
    for i, row in enumerate(rows):
        y = TOP + STEP * i + STEP / 2 + 2
        if len(row) == 1:
            out.append(f'<text class="t" x="20" y="{y + 7:.0f}" font-weight="600">{row[0]}</text>')
            continue
        words, ours, theirs, found = row
        out.append(
            f'<text class="t" x="20" y="{y + 5:.0f}">{escape(words)}</text>'
            f'<text class="at" x="{LEFT - 12}" y="{y + 5:.0f}" text-anchor="end" font-size="13">{ours}</text>'
            f'<line class="l" x1="{x(1):.1f}" x2="{x(found):.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke-width="3"/>'
            f'<circle class="o" cx="{x(found):.1f}" cy="{y:.1f}" r="5.5"/>'
            f'<circle class="a" cx="{x(1):.1f}" cy="{y:.1f}" r="5.5"/>'
            f'<text class="n" x="{RIGHT + 78}" y="{y + 5:.0f}" text-anchor="end" font-size="13">{theirs}</text>'
            f'<text class="t" x="{WIDTH - 20}" y="{y + 5:.0f}" text-anchor="end" font-weight="600">{times(found)}</text>')
    m = document["machine"]
    out.append(f'<text class="n" x="20" y="{height - 16}" font-size="12">{escape(m["cpu"])}, {m["cores"]} cores, '
               f'{m["date"]}; medians; bench/run makes this picture</text></svg>')
    return "\n".join(out)
