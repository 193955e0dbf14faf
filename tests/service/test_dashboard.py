"""conf/grafana and conf/prometheus name what the service's /metrics really has."""

import json
import pathlib
import re
import urllib.request

import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
CONF = TOP / "conf"


def metrics_of(service):
    with urllib.request.urlopen(f"{service.url}/healthz", timeout=10):
        pass  # so that there is a request to count
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=10) as answer:
        return answer.read().decode()


def test_names(service):
    metrics = metrics_of(service)
    there = set(re.findall(r"^(sallyport_\w+)", metrics, re.M))
    text = (CONF / "grafana" / "sallyport.json").read_text()
    named = set(re.findall(r"sallyport_\w+", text))
    assert named and named <= there, f"in the dashboard but not in /metrics: {sorted(named - there)}"
    labels = set(re.findall(r"by \((\w+)\)", text))
    assert all(f"{label}=" in metrics for label in labels), labels


def test_every_name_is_described(service):
    """Each family has HELP and TYPE, and a line in the table of docs/operating.md; that has no others."""
    metrics = metrics_of(service)
    families = set(re.findall(r"^# TYPE sallyport_(\w+)", metrics, re.M))
    assert families == set(re.findall(r"^# HELP sallyport_(\w+) \S", metrics, re.M))
    for name in re.findall(r"^sallyport_(\w+)", metrics, re.M):
        assert name in families or re.sub("_(bucket|sum|count)$", "", name) in families, name
    text = (TOP / "docs" / "operating.md").read_text()
    table = text.split("| name | says |\n")[1].split("\n\n")[0]
    described = set(re.findall(r"`([a-z_]+)(?:\{[\w,]+\})?`", "\n".join(
        line.split("|")[1] for line in table.splitlines())))
    assert families == described, f"only in /metrics: {families - described}; only in the page: {described - families}"
    assert set(re.findall(r"\bsallyport_(\w+)", text)) <= families


def test_dashboard_fits():
    """No two panels on one place, every one with a query, ids unique."""
    panels = json.loads((CONF / "grafana" / "sallyport.json").read_text())["panels"]
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["targets"] and all(t["expr"] for t in panel["targets"])
    assert len({p["id"] for p in panels}) == len(panels)


def test_scrape_config():
    (job,) = yaml.safe_load((CONF / "prometheus" / "sallyport.yml").read_text())
    assert job["metrics_path"] == "/metrics" and job["static_configs"][0]["targets"]
