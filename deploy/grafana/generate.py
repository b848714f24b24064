"""Writes the Grafana dashboard from the definitions of the metrics.

Usage: python deploy/grafana/generate.py
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limoflow.observe import metrics as m
from limoflow.observe.metrics import Definition

TARGET = Path(__file__).with_name("limoflow.json")
# Grafana's own names of units; `short` is a plain number.
_UNITS = {"seconds": "s", "bytes": "bytes", "dollars": "currencyUSD"}
_RATE_UNITS = {"seconds": "s", "bytes": "Bps"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: what is asked, and how it is shown; `legend` is a Grafana legend template."""

    title: str
    query: str
    legend: str
    of: Definition
    unit: str
    kind: str = "timeseries"


def rate(of: Definition, title: str, by: str = "") -> Panel:
    """Show how fast a counter grows, a second."""
    query = f"sum by ({by}) (rate({of.name}[$__rate_interval]))" if by else f"sum(rate({of.name}[$__rate_interval]))"
    return Panel(title, query, _legend(by, of), of, _RATE_UNITS.get(of.unit, "cps"))


def total(of: Definition, title: str, by: str = "") -> Panel:
    """Show how much a counter grew in the time that is looked at."""
    query = f"sum by ({by}) (increase({of.name}[$__range]))" if by else f"sum(increase({of.name}[$__range]))"
    return Panel(title, query, _legend(by, of), of, _UNITS.get(of.unit, "short"), "bargauge")


def level(of: Definition, title: str, by: str = "", how: str = "sum") -> Panel:
    """Show a gauge."""
    query = f"{how} by ({by}) ({of.name})" if by else f"{how}({of.name})"
    return Panel(title, query, _legend(by, of), of, _UNITS.get(of.unit, "short"))


def quantile(of: Definition, title: str, share: float, by: str = "") -> Panel:
    """Show a quantile of a histogram."""
    groups = f"{by}, le" if by else "le"
    query = f"histogram_quantile({share}, sum by ({groups}) (rate({of.name}_bucket[$__rate_interval])))"
    return Panel(title, query, _legend(by, of), of, _UNITS.get(of.unit, "short"))


def heatmap(of: Definition, title: str, matching: str = "") -> Panel:
    """Show the whole distribution of a histogram over time."""
    query = f"sum by (le) (increase({of.name}_bucket{matching}[$__rate_interval]))"
    return Panel(title, query, "{{le}}", of, "short", "heatmap")


def _legend(by: str, of: Definition) -> str:
    return " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(",")) if by else of.unit


ROWS: dict[str, tuple[Panel, ...]] = {
    "Funnel": (
        total(m.INGESTED_ROWS, "Rows in", "format"),
        total(m.PASSED, "Passed", "stage"),
        total(m.REJECTED, "Rejected", "stage, reason"),
        total(m.DEAD_LETTERS, "Dead letters", "stage, error_class"),
        total(m.FINALIZED, "Finalized"),
    ),
    "Throughput": (
        rate(m.HANDLED, "Records handled", "stage, outcome"),
        rate(m.INGESTED_BYTES, "Bytes read", "format"),
        total(m.INGESTED_FILES, "Files read", "format"),
        rate(m.RETRIES, "Attempts tried again", "stage, error_class"),
    ),
    "Lag": (
        level(m.LAG, "Lag", "stage, topic"),
        level(m.IN_FLIGHT, "In flight", "stage"),
        level(m.WINDOW_AGE, "Oldest window without a release", how="max"),
    ),
    "Latency": (
        quantile(m.HANDLING, "Handling, median", 0.5, "stage"),
        quantile(m.HANDLING, "Handling, 99 of 100", 0.99, "stage"),
        quantile(m.COMMITS, "Commit, 99 of 100", 0.99, "stage"),
    ),
    "Scores": (
        heatmap(m.IFD, "Instruction-following difficulty"),
        *(
            heatmap(m.SCORES, name.replace("_", " ").capitalize(), f'{{score="{name}"}}')
            for name in ("answer_match", "complexity", "quality", "depth", "safety")
        ),
    ),
    "Models": (
        quantile(m.MODEL_REQUESTS, "Request, 99 of 100", 0.99, "model"),
        rate(m.MODEL_ERRORS, "Failed requests", "model, error_class"),
        level(m.BREAKER, "Breaker (0 closed, 1 half open, 2 open)", "dependency", "max"),
        rate(m.CHAT_TOKENS, "Chat tokens", "model, kind"),
        total(m.CHAT_COST, "Chat cost", "model"),
    ),
    "Releases and training": (
        total(m.RELEASES, "Releases"),
        level(m.SHORTFALL, "Rows that the newest release lacks", how="max"),
        total(m.EXPORTS, "Exports"),
        total(m.EXPORTED_ROWS, "Rows exported"),
        quantile(m.EXPORT_TIME, "Export, median", 0.5),
        level(m.TRAINING_LOSS, "Training loss", how="max"),
        rate(m.TRAINING_STEPS, "Optimiser steps"),
        rate(m.TRAINING_TOKENS, "Tokens trained on"),
    ),
}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana stores it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        header = {"type": "row", "title": title, "collapsed": False, "panels": []}
        panels.append({"id": len(panels) + 1, **header, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y += 1
        for index, panel in enumerate(row):
            line, column = divmod(index, _COLUMNS)
            place = {"x": column * _WIDTH, "y": y + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            panels.append({"id": len(panels) + 1, **_panel(panel), "gridPos": place})
        y += -(-len(row) // _COLUMNS) * _HEIGHT
    return {
        "uid": "limoflow",
        "title": "limoflow",
        "tags": ["limoflow"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}],
        },
        "panels": panels,
    }


def _panel(panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    target: dict[str, Any] = {"refId": "A", "datasource": source, "expr": panel.query, "legendFormat": panel.legend}
    if panel.kind == "heatmap":
        target["format"] = "heatmap"
    if panel.kind == "bargauge":
        target["instant"] = True
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.of.help,
        "datasource": source,
        "targets": [target],
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"orientation": "horizontal"} if panel.kind == "bargauge" else {},
    }


def text() -> str:
    """Return the text of the dashboard's file."""
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
