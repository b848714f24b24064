"""Writes the Grafana dashboards from the definitions of the metrics: one file for each question people come with.

Usage: PYTHONPATH=. python deploy/grafana/generate.py
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limoflow.observe import metrics as m
from limoflow.observe.metrics import Definition

FOLDER = Path(__file__).parent
_SOURCE = {"type": "prometheus", "uid": "${source}"}
# Grafana's own names of units; `short` is a plain number.
_UNITS = {"seconds": "s", "bytes": "bytes", "dollars": "currencyUSD"}
_RATE_UNITS = {"seconds": "s", "bytes": "Bps"}
_SERIES = re.compile(r"(?<![\w:])((?:limoflow|stage):\w+:\w+|(?:limoflow|nv)_\w+|up\b)(?:{(.*?)})?")


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: what is asked, and how it is shown; `legend` is a Grafana legend template."""

    title: str
    query: str
    legend: str
    of: Definition | None
    unit: str
    kind: str = "timeseries"
    help: str = ""


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


def told(title: str, query: str, legend: str, help: str, unit: str = "short") -> Panel:  # noqa: A002 - Grafana's word
    """Show what is computed from several metrics, or is measured by others."""
    return Panel(title, query, legend, None, unit, help=help)


def triton(title: str, query: str, help: str, unit: str = "short") -> Panel:  # noqa: A002 - Grafana's word
    """Show what Triton says of itself, by model."""
    return told(title, query, "{{model}}", help, unit)


SCORES = ("answer_match", "complexity", "quality", "depth", "safety")
BOARDS: dict[str, tuple[str, dict[str, tuple[Panel, ...]]]] = {
    "overview": (
        "limoflow: overview of a run",
        {
            "Funnel": (
                total(m.INGESTED_ROWS, "Rows in", "format"),
                total(m.PASSED, "Passed", "stage"),
                total(m.REJECTED, "Rejected", "stage, reason"),
                total(m.DEAD_LETTERS, "Dead letters", "stage, error_class"),
                total(m.FINALIZED, "Finalized"),
                told(
                    "Accepted of what entered, over an hour",
                    "limoflow:acceptance:ratio1h",
                    "accepted",
                    "Samples chosen into releases by rows admitted.",
                    "percentunit",
                ),
            ),
            "Progress": (
                rate(m.HANDLED, "Records handled", "stage, outcome"),
                level(m.LAG, "Lag", "stage, topic"),
                level(m.WINDOW_AGE, "Oldest window without a release", how="max"),
                rate(m.INGESTED_BYTES, "Bytes admitted", "format"),
                total(m.INGESTED_FILES, "Files read", "format"),
            ),
            "Releases and training": (
                total(m.RELEASES, "Releases"),
                told(
                    "Rows that the newest release lacks",
                    "limoflow:newest_release_shortfall:rows",
                    "rows",
                    "Rows that it lacks to its target.",
                ),
                total(m.EXPORTS, "Exports"),
                total(m.EXPORTED_ROWS, "Rows exported"),
                quantile(m.EXPORT_TIME, "Export, median", 0.5),
                level(m.TRAINING_LOSS, "Training loss", how="max"),
                rate(m.TRAINING_STEPS, "Optimiser steps"),
                rate(m.TRAINING_TOKENS, "Tokens trained on"),
            ),
        },
    ),
    "stages": (
        "limoflow: stage health",
        {
            "Load": (
                rate(m.HANDLED, "Records handled", "stage, outcome"),
                level(m.IN_FLIGHT, "In flight", "stage"),
                level(m.LAG, "Lag", "stage"),
            ),
            "Latency": (
                quantile(m.HANDLING, "Handling, median", 0.5, "stage"),
                quantile(m.HANDLING, "Handling, 99 of 100", 0.99, "stage"),
                told(
                    "Handling, 99 of 100, over five minutes",
                    "stage:handling_seconds:p99_5m",
                    "{{stage}}",
                    "The recorded form, for long ranges.",
                    "s",
                ),
                quantile(m.CHECK_TIME, "Checks, 99 of 100", 0.99, "check"),
            ),
            "Trouble": (
                rate(m.RETRIES, "Attempts tried again", "stage, error_class"),
                rate(m.DEAD_LETTERS, "Dead letters", "stage, error_class"),
                level(m.BREAKER, "Breaker (0 closed, 1 half open, 2 open)", "dependency", "max"),
                told(
                    "Processes that answer",
                    'sum by (job) (up{job=~"limoflow|triton"})',
                    "{{job}}",
                    "Processes that Prometheus reaches.",
                ),
            ),
        },
    ),
    "quality": (
        "limoflow: quality",
        {
            "Acceptance": (
                rate(m.REJECTED, "Rejected, by reason", "stage, reason"),
                Panel(
                    "Duplicates refused",
                    f'sum by (reason) (increase({m.REJECTED.name}{{reason=~".*duplicate.*"}}[$__range]))',
                    "{{reason}}",
                    m.REJECTED,
                    "short",
                    "bargauge",
                ),
                rate(m.REFUSALS, "Children not generated", "strategy, reason"),
            ),
            "Verification": (
                rate(m.VERDICTS, "Verdicts", "check, verdict"),
                rate(m.DISAGREEMENTS, "Samples on which checks disagree"),
                rate(m.CANARIES, "Judge canaries", "model, outcome"),
                level(m.JUDGES, "Whether a judge's votes count", "model", "min"),
                level(m.SANDBOX, "Whether code can be run", "back_end", "min"),
            ),
            "Scores": (
                heatmap(m.IFD, "Instruction-following difficulty"),
                *(heatmap(m.SCORES, name.replace("_", " ").capitalize(), f'{{score="{name}"}}') for name in SCORES),
                level(m.DRIFT, "Drift against the run's first window", "score", "max"),
            ),
            "Releases": (
                told(
                    "Diversity of the newest release",
                    "limoflow:newest_release_diversity:ratio",
                    "diversity",
                    "Mean distance of its rows to the nearest row chosen before: 1 - cosine, in [0, 1].",
                ),
                told(
                    "Quotas that it fills",
                    "limoflow:newest_release_coverage:ratio",
                    "coverage",
                    "Share of the strata with a quota from which it has as many rows as the quota asks.",
                ),
            ),
        },
    ),
    "cost": (
        "limoflow: cost",
        {
            "Chat": (
                rate(m.CHAT_TOKENS, "Chat tokens", "model, kind"),
                total(m.CHAT_COST, "Chat cost", "model"),
                level(m.CHAT_BUDGET, "Budget for 24 hours", how="max"),
                told(
                    "Cost of an accepted sample, over a day",
                    "limoflow:cost_per_accepted:dollars1d",
                    "dollars",
                    "Cost of chat requests by samples chosen into releases.",
                    "currencyUSD",
                ),
                told(
                    "Tokens for an accepted sample, over a day",
                    "limoflow:tokens_per_accepted:ratio1d",
                    "tokens",
                    "Tokens of chat requests by samples chosen into releases.",
                ),
            ),
            "Work": (
                told(
                    "Handling time for an accepted sample, over an hour",
                    "limoflow:handling_per_accepted:seconds1h",
                    "seconds",
                    "Time in handlers (generator, verifier, scorer) by samples chosen into releases.",
                    "s",
                ),
                rate(m.TRAINING_TOKENS, "Tokens trained on"),
            ),
        },
    ),
    "triton": (
        "limoflow: Triton",
        {
            "As its clients see it": (
                quantile(m.MODEL_REQUESTS, "Request, median", 0.5, "model"),
                quantile(m.MODEL_REQUESTS, "Request, 99 of 100", 0.99, "model"),
                rate(m.MODEL_ERRORS, "Failed requests", "model, error_class"),
            ),
            "As it sees itself": (
                triton(
                    "Requests",
                    "sum by (model) (rate(nv_inference_request_success[$__rate_interval]))",
                    "Requests answered.",
                    "reqps",
                ),
                triton(
                    "Refused requests",
                    "sum by (model) (rate(nv_inference_request_failure[$__rate_interval]))",
                    "Requests that failed in the server.",
                    "reqps",
                ),
                triton(
                    "Waiting in the queue",
                    "sum by (model) (rate(nv_inference_queue_duration_us[$__rate_interval])) / 1e6 / "
                    "sum by (model) (rate(nv_inference_request_success[$__rate_interval]))",
                    "Mean time of a request in the queue; the autoscaler goes by it.",
                    "s",
                ),
                triton(
                    "Computing",
                    "sum by (model) (rate(nv_inference_compute_infer_duration_us[$__rate_interval])) / 1e6 / "
                    "sum by (model) (rate(nv_inference_request_success[$__rate_interval]))",
                    "Mean time of a request in the model.",
                    "s",
                ),
                triton(
                    "Requests in a batch",
                    "sum by (model) (rate(nv_inference_count[$__rate_interval])) / "
                    "sum by (model) (rate(nv_inference_exec_count[$__rate_interval]))",
                    "Mean size of a batch that the server made.",
                ),
            ),
        },
    ),
    "kafka": (
        "limoflow: Kafka",
        {
            "Consumers": (
                level(m.LAG, "Lag, by partition", "stage, topic, partition"),
                level(m.LAG, "Largest lag of a partition", "stage, topic", "max"),
                level(m.IN_FLIGHT, "Fetched, not committed", "stage"),
                level(m.PARTITIONS, "Fewest partitions of a worker", "stage", "min"),
            ),
            "Transactions": (
                quantile(m.COMMITS, "Commit, median", 0.5, "stage"),
                quantile(m.COMMITS, "Commit, 99 of 100", 0.99, "stage"),
                Panel(
                    "Commits",
                    f"sum by (stage) (rate({m.COMMITS.name}_count[$__rate_interval]))",
                    "{{stage}}",
                    m.COMMITS,
                    "ops",
                ),
                Panel(
                    "Broker errors, tried again",
                    f"sum by (stage, error_class) (rate({m.RETRIES.name}[$__rate_interval]))",
                    "{{stage}} {{error_class}}",
                    m.RETRIES,
                    "cps",
                ),
            ),
        },
    ),
}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3


def dashboard(name: str) -> dict[str, Any]:
    """Return a dashboard as Grafana stores it."""
    title, rows = BOARDS[name]
    panels: list[dict[str, Any]] = []
    y = 0
    for heading, row in rows.items():
        header = {"type": "row", "title": heading, "collapsed": False, "panels": []}
        panels.append({"id": len(panels) + 1, **header, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y += 1
        for index, panel in enumerate(row):
            line, column = divmod(index, _COLUMNS)
            place = {"x": column * _WIDTH, "y": y + line * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            panels.append({"id": len(panels) + 1, **_panel(panel), "gridPos": place})
        y += -(-len(row) // _COLUMNS) * _HEIGHT
    return {
        "uid": f"limoflow-{name}",
        "title": title,
        "tags": ["limoflow"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                {
                    "name": "namespace",
                    "label": "Installation",
                    "type": "query",
                    "datasource": _SOURCE,
                    "query": f"label_values({m.PARTITIONS.name}, namespace)",
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                    # Matches what has no namespace too: on a laptop nothing has one.
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                },
            ],
        },
        "panels": panels,
    }


def _of_chosen(query: str) -> str:
    """Ask for the chosen installations only."""

    def chosen(series: re.Match[str]) -> str:
        matchers = [matcher for matcher in (series[2], 'namespace=~"$namespace"') if matcher]
        return f"{series[1]}{{{','.join(matchers)}}}"

    return _SERIES.sub(chosen, query)


def _panel(panel: Panel) -> dict[str, Any]:
    target: dict[str, Any] = {
        "refId": "A",
        "datasource": _SOURCE,
        "expr": _of_chosen(panel.query),
        "legendFormat": panel.legend,
    }
    if panel.kind == "heatmap":
        target["format"] = "heatmap"
    if panel.of is not None and panel.of.kind == "histogram":
        # Exemplars are traces; they show where tracing is on.
        target["exemplar"] = True
    if panel.kind == "bargauge":
        target["instant"] = True
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.of.help if panel.of is not None else panel.help,
        "datasource": _SOURCE,
        "targets": [target],
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"orientation": "horizontal"} if panel.kind == "bargauge" else {},
    }


def texts() -> dict[str, str]:
    """Return the text of every dashboard's file, by the file's name."""
    return {f"{name}.json": json.dumps(dashboard(name), indent=2) + "\n" for name in BOARDS}


if __name__ == "__main__":
    for file, text in texts().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
