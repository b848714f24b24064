"""The dashboards, the rules and their runbooks against the metrics."""

from __future__ import annotations

import re
import subprocess
import urllib.error
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from limoflow.observe.health import HealthServer
from limoflow.observe.metrics import DEFINITIONS, Metrics
from limoflow.stack.ports import PortReservation
from limoflow.stack.processes import ManagedProcess, ProcessSpec
from limoflow.stack.prometheus import find_program
from tests.support.prometheus import (
    DEPLOY,
    Prometheus,
    boards,
    generated,
    need_prometheus,
    panel_queries,
    rules,
    series_of,
    silent_queries,
)
from tests.support.stack import until
from tests.unit.observe.test_metrics import exercise

ROOT = DEPLOY.parent
SERIES = {one.name: one for one in DEFINITIONS}
RECORDED = {rule["record"] for rule in rules("record")}
# What Triton says of itself: NVIDIA's Triton Inference Server, docs/user_guide/metrics.md.
TRITON = {
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_count",
    "nv_inference_exec_count",
}
ALL_QUERIES = [*panel_queries(), *(rule["expr"] for kind in ("alert", "record") for rule in rules(kind))]


LABEL = re.compile(r"(\w+)(?:=|!)")
# What Prometheus itself adds to what it scrapes; `namespace` on Kubernetes only.
OF_SCRAPE = {"namespace", "job", "instance"}


def labels_of(query: str) -> set[str]:
    found = re.findall(r"(?:by|on) \(([^)]*)\)|\{(\w+)[=!]", query)
    return {label.strip() for pair in found for label in ",".join(pair).split(",")} - {"", "le"}


def test_the_committed_dashboards_are_what_the_generator_writes():
    committed = {path.name: path.read_text(encoding="utf-8") for path in (DEPLOY / "grafana").glob("*.json")}
    assert committed == generated()


def test_every_query_asks_for_metrics_and_labels_that_exist():
    for query in ALL_QUERIES:
        names = series_of(query)
        assert names, query
        assert names <= SERIES.keys() | RECORDED | TRITON | {"up"}, query
        known = names & SERIES.keys()
        if names <= SERIES.keys():
            assert labels_of(query) - OF_SCRAPE <= {label for name in known for label in SERIES[name].labels}, query
        for name in known:
            selectors = re.findall(rf"\b{name}(?:_bucket|_sum|_count)?{{(.*?)}}", query)
            assert set(LABEL.findall(",".join(selectors))) - OF_SCRAPE <= set(SERIES[name].labels), query
            parts = set(re.findall(rf"\b{name}_(?:bucket|sum|count)\b", query))
            assert bool(parts) == (SERIES[name].kind == "histogram"), query


def test_every_panel_shows_the_chosen_installations_only():
    for query in panel_queries():
        series = re.findall(r"(?<![\w:])(?:(?:limoflow|stage):\w+:\w+|(?:limoflow|nv)_\w+|up\b)(?={(.*?)}|)", query)
        assert series, query
        assert all('namespace=~"$namespace"' in matchers for matchers in series), query
    for board in boards().values():
        assert [one["name"] for one in board["templating"]["list"]] == ["source", "namespace"]


def test_counters_are_never_shown_raw():
    for query in ALL_QUERIES:
        for name in series_of(query) & SERIES.keys():
            if SERIES[name].kind != "gauge":
                assert re.search(rf"(rate|increase)\({name}(_bucket|_sum|_count)?[{{\[]", query), query


def test_every_metric_is_on_a_dashboard():
    shown = {name for query in panel_queries() for name in series_of(query)}
    recorded = {name for rule in rules("record") if rule["record"] in shown for name in series_of(rule["expr"])}
    alerted = {name for rule in rules("alert") for name in series_of(rule["expr"])}
    assert shown | recorded >= SERIES.keys()
    assert shown | alerted >= RECORDED


def test_panels_do_not_overlap_have_their_own_ids_and_say_what_they_show():
    for board in boards().values():
        cells: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            own = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
            assert not own & cells, panel["title"]
            cells |= own
            assert panel["type"] == "row" or panel["description"], panel["title"]
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len({board["uid"] for board in boards().values()}) == len(boards())


def test_each_alert_says_what_is_wrong_has_a_runbook_and_a_unit_test():
    alerts = {rule["alert"]: rule for rule in rules("alert")}
    for name, rule in alerts.items():
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert rule["annotations"]["summary"]
        assert f"`{name}`" in (ROOT / rule["annotations"]["runbook_url"]).read_text(encoding="utf-8")
    pages = {f"docs/runbooks/{path.name}" for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages - {"docs/runbooks/README.md"} == {rule["annotations"]["runbook_url"] for rule in alerts.values()}
    tested = yaml.safe_load((DEPLOY / "prometheus" / "tests" / "alerts.yaml").read_text(encoding="utf-8"))["tests"]
    assert {one["name"] for one in tested} == alerts.keys()


@pytest.mark.parametrize("command", [("check", "config", "prometheus.yaml"), ("test", "rules", "tests/alerts.yaml")])
def test_promtool_is_content(command: tuple[str, ...]):
    need_prometheus()
    folder = DEPLOY / "prometheus"
    done = subprocess.run([find_program("promtool"), *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def suffer(metrics: Metrics) -> None:
    """Move every metric, and every label that a query asks for."""
    exercise(metrics)
    metrics.handled("verifier", "done", 0.01)
    metrics.rejected("selector", "near_duplicate")


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[tuple[Prometheus, Metrics]]:
    """A Prometheus with our rules that scrapes a process which has seen every fault."""
    need_prometheus()
    metrics = Metrics()
    suffer(metrics)
    with HealthServer("127.0.0.1", 0, lambda: (True, "ready"), metrics.registry) as server:
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "300ms", "scrape_timeout": "300ms", "evaluation_interval": "500ms"}
        config["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in config["rule_files"]]
        config["scrape_configs"] = [
            {"job_name": "limoflow", "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}]}
        ]
        (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        reservation = PortReservation(1)
        port = reservation.ports[0]
        process = ManagedProcess(
            ProcessSpec(
                name="prometheus",
                command=(
                    str(find_program()),
                    f"--config.file={tmp_path / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={tmp_path / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                    "--log.level=warn",
                ),
                env={},
                log_path=tmp_path / "log",
                clean=reservation.release,
            )
        )
        process.start()
        try:
            yield Prometheus(f"127.0.0.1:{port}"), metrics
        finally:
            process.kill()
            until(lambda: process.poll() is not None, 20.0, "the end of Prometheus")


def test_every_query_returns_data_of_a_process_that_has_seen_every_fault(faulty: tuple[Prometheus, Metrics]):
    """The fault test of what a healthy run does not show; Triton's own series are those of a real run."""
    prometheus, metrics = faulty
    silent: set[str] = set()

    def heard() -> bool:
        suffer(metrics)
        silent.clear()
        try:
            silent.update(silent_queries(prometheus) - TRITON)
        except urllib.error.URLError:
            silent.add("Prometheus itself")
        return not silent

    with suppress(AssertionError):
        until(heard, 40.0, "data for every query")
    assert not silent
