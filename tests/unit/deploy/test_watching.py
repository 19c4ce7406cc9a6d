"""Alerts and dashboard ask for numbers that the node gives; the proxy passes on what the node serves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from echonode.core.tally import SERIES
from echonode.web import metrics
from echonode.web.operations import operations


@pytest.fixture
def given() -> set[str]:
    """Every name that a page of /metrics may hold."""
    names = set(re.findall(r'"(echonode_[a-z_]+)"', Path(metrics.__file__).read_text()))
    for name, series in SERIES.items():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(series.kind, ("",))
        names |= {f"echonode_{name}{suffix}" for suffix in suffixes}
    return names


@pytest.mark.parametrize("file", ["prometheus/alerts.yml", "grafana/echonode.json"])
def test_every_number_that_is_asked_for_exists(checkout: Path, given: set[str], file: str) -> None:
    text = (checkout / "deploy" / file).read_text()
    asked = set(re.findall(r"\bechonode_[a-z_]+", text))
    assert len(asked) > 5
    assert asked <= given, f"{file} asks for {sorted(asked - given)}"


def test_every_label_that_is_asked_for_exists(checkout: Path) -> None:
    known = {label for series in SERIES.values() for label in series.labels}
    known |= set(
        re.findall(r'"([a-z]+)"', " ".join(re.findall(r"labels=\[([^\]]*)\]", Path(metrics.__file__).read_text())))
    )
    known |= {"kind", "queue", "state", "le"}
    dashboard = json.loads((checkout / "deploy/grafana/echonode.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = {
        label.strip()
        for text in expressions
        for each in re.findall(r"by \(([^)]*)\)", text)
        for label in each.split(",")
    }
    assert asked <= known, asked - known


def test_the_dashboard_s_panels_lie_beside_each_other(checkout: Path) -> None:
    panels = json.loads((checkout / "deploy/grafana/echonode.json").read_text())["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    assert len({panel["title"] for panel in panels}) == len(panels)


def test_the_proxy_passes_on_every_part_of_the_web_edge(checkout: Path) -> None:
    text = (checkout / "deploy/proxy/nginx.conf").read_text()
    places = re.findall(r"location (?:= )?(\S+) \{", text)
    for operation in operations("/dicom-web"):
        assert any(operation.path.startswith(place) for place in places), operation.path
