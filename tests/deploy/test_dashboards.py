"""The dashboard and the alerts against the metrics."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import yaml

from limoflow.observe.metrics import DEFINITIONS

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SERIES = {
    **{one.name: one for one in DEFINITIONS},
    **{
        f"{one.name}_{part}": one
        for one in DEFINITIONS
        if one.kind == "histogram"
        for part in ("bucket", "count", "sum")
    },
}
# Words of a query that follow `by (` or stand inside braces are labels.
LABELS_OF_QUERY = re.compile(r"by \(([^)]*)\)|\{(\w+)=")


def dashboard() -> dict:
    return json.loads((DEPLOY / "grafana" / "limoflow.json").read_text(encoding="utf-8"))


def panel_queries() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]


def alert_rules() -> list[dict]:
    document = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def series_of(query: str) -> set[str]:
    return set(re.findall(r"\blimoflow_\w+", query))


def labels_of(query: str) -> set[str]:
    return {label.strip() for found in LABELS_OF_QUERY.findall(query) for label in ",".join(found).split(",")} - {
        "",
        "le",
    }


def test_the_committed_dashboard_is_what_the_generator_writes():
    assert (DEPLOY / "grafana" / "limoflow.json").read_text(encoding="utf-8") == runpy.run_path(
        str(DEPLOY / "grafana" / "generate.py")
    )["text"]()


def test_every_query_asks_for_metrics_and_labels_that_exist():
    for query in [*panel_queries(), *(rule["expr"] for rule in alert_rules())]:
        assert series_of(query), query
        for name in series_of(query):
            assert name in SERIES, f"{name} in {query!r}"
            assert labels_of(query) <= set(SERIES[name].labels), query
            assert (SERIES[name].kind == "histogram") == (name != SERIES[name].name), query


def test_counters_are_never_shown_raw():
    for query in panel_queries():
        for name in series_of(query):
            if SERIES[name].kind != "gauge":
                assert re.search(rf"(rate|increase)\({name}[{{\[]", query), query


def test_every_metric_is_on_the_dashboard():
    shown = {SERIES[name].name for query in panel_queries() for name in series_of(query)}
    assert shown == {one.name for one in DEFINITIONS}


def test_panels_do_not_overlap_and_have_their_own_ids():
    cells: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not own & cells, panel["title"]
        cells |= own
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_alerts_have_a_severity_and_say_what_is_wrong():
    names = [rule["alert"] for rule in alert_rules()]
    assert len(set(names)) == len(names) >= 5
    for rule in alert_rules():
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert used <= labels_of(rule["expr"]), rule["alert"]


def test_prometheus_reads_the_alerts_and_finds_targets_by_file():
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
    for name in config["rule_files"]:
        assert (DEPLOY / "prometheus" / name).exists()
    assert config["scrape_configs"][0]["file_sd_configs"][0]["files"]
