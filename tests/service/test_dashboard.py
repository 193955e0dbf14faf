"""conf/grafana and conf/prometheus name what the service's /metrics really has."""

import json
import pathlib
import re
import urllib.request

import yaml

CONF = pathlib.Path(__file__).resolve().parents[2] / "conf"


def test_names(service):
    with urllib.request.urlopen(f"{service.url}/healthz", timeout=10):
        pass  # so that there is a request to count
    with urllib.request.urlopen(f"{service.url}/metrics", timeout=10) as answer:
        metrics = answer.read().decode()
    there = set(re.findall(r"^(sallyport_\w+)", metrics, re.M))
    text = (CONF / "grafana" / "sallyport.json").read_text()
    named = set(re.findall(r"sallyport_\w+", text))
    assert named <= there, f"in the dashboard but not in /metrics: {sorted(named - there)}"
    labels = set(re.findall(r"by \((\w+)\)", text))
    assert all(f"{label}=" in metrics for label in labels), labels


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
