"""A Prometheus for tests, and the queries of all panels and rules."""

from __future__ import annotations

import json
import re
import runpy
import urllib.parse
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from limoflow.errors import MissingDependency
from limoflow.stack.prometheus import find_program

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
_FAULT = "nothing fails in a healthy run"
_NO_CHAT = "the demo asks no chat endpoint"
NEED_A_FAULT = {
    "limoflow_retries_total": _FAULT,
    "limoflow_model_errors_total": _FAULT,
    "limoflow_judge_canaries_total": "the demo has no judge",
    "limoflow_judge_trusted": "the demo has no judge",
    "limoflow_chat_tokens_total": _NO_CHAT,
    "limoflow_chat_cost_dollars_total": _NO_CHAT,
    "limoflow:cost_per_accepted:dollars1d": _NO_CHAT,
    "limoflow:tokens_per_accepted:ratio1d": _NO_CHAT,
    "limoflow_score_drift_index": "the demo has one window, and drift is between windows",
    "limoflow_generation_refusals_total": "the demo's strategies may make every child",
}
"""Series that a healthy run of the demo need not have, and why."""


def prometheus_found() -> bool:
    """Whether Prometheus is on this machine."""
    try:
        find_program("prometheus")
        find_program("promtool")
    except MissingDependency:
        return False
    return True


def need_prometheus() -> None:
    """Skip where Prometheus is missing."""
    if not prometheus_found():
        pytest.skip("Prometheus is missing: make prometheus")


class Prometheus:
    """A running server."""

    def __init__(self, address: str) -> None:
        self._address = address

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an instant query."""
        question = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://{self._address}/api/v1/query?{question}", timeout=10) as answer:
            return list(json.load(answer)["data"]["result"])


def boards() -> dict[str, dict[str, Any]]:
    """Return the committed dashboards by name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((DEPLOY / "grafana").glob("*.json"))
    }


@cache
def generated() -> dict[str, str]:
    """Return what the generator writes, by file name."""
    texts: dict[str, str] = runpy.run_path(str(DEPLOY / "grafana" / "generate.py"))["texts"]()
    return texts


def panel_queries() -> list[str]:
    """Return the query of every panel."""
    panels = [panel for board in boards().values() for panel in board["panels"]]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def rules(kind: str) -> list[dict[str, Any]]:
    """Return the rules that have a field `alert` or `record`."""
    files = sorted((DEPLOY / "prometheus").glob("*.yaml"))
    groups = [group for path in files for group in yaml.safe_load(path.read_text("utf-8")).get("groups", [])]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def series_of(query: str) -> set[str]:
    """Return the names of the series that a query reads, without the parts of histograms."""
    named = re.findall(r"(?<![\w:])(?:limoflow|stage):\w+:\w+|(?<![\w:])(?:limoflow_|nv_)\w+|\bup\b", query)
    return {re.sub(r"_(bucket|sum|count)$", "", name) if name.startswith("limoflow_") else name for name in named}


def silent_queries(prometheus: Prometheus, interval: str = "15m") -> set[str]:
    """Return the series of those queries that give nothing.

    Of an alert what it reads is asked for, since it gives something only in a fault; of others the query itself.
    """
    silent: set[str] = set()
    for query in [*panel_queries(), *(rule["expr"] for rule in rules("record"))]:
        asked = query.replace("$__rate_interval", interval).replace("$__range", interval).replace("$namespace", ".*")
        if not prometheus.query(asked):
            silent |= _unlisted(query)
    for rule in rules("alert"):
        for name in series_of(rule["expr"]):
            if not any(prometheus.query(one) for one in (name, f"{name}_count")):
                silent.add(name)
    return silent


def _unlisted(query: str) -> set[str]:
    """Return the series of a silent query that are on the list, or all where none is."""
    names = series_of(query)
    return names & NEED_A_FAULT.keys() or names
