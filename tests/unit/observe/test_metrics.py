"""The metrics: names, meaning, and what each method does to them."""

from __future__ import annotations

import inspect
import json
import math
import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from limoflow.observe import metrics as module
from limoflow.observe.drift import LEAST
from limoflow.observe.metrics import DEFINITIONS, Metrics, QualityMetrics
from limoflow.stream.observer import StreamObserver
from schemas import Sample
from schemas.export_json import EXAMPLES
from schemas.release import Release

RELEASE = Release.model_validate_json((EXAMPLES / "release.v1.json").read_bytes())
UNBOUNDED = {"run", "run_id", "window", "sample", "sample_id", "release", "instance"}


def scored_sample(window: int, quality: float) -> Sample:
    """A sample of a window with one score."""
    lineage = {"run_id": "r", "window": window, "source_ref": "s"}
    metadata = {"lineage": lineage, "evaluations": {"response_quality": quality}}
    return Sample.model_validate({"id": "a", "instruction": "b", "response": "c", "metadata": metadata})


def test_a_judge_without_a_full_set_or_not_asked_for_six_hours_is_neither_trusted_nor_not():
    now, registry = [0.0], CollectorRegistry()
    metrics = QualityMetrics(registry, clock=lambda: now[0])

    def shown() -> float | None:
        return registry.get_sample_value("limoflow_judge_trusted", {"model": "judge"})

    metrics.canary("judge", right=False, trusted=None)
    assert shown() is None
    metrics.canary("judge", right=False, trusted=False)
    now[0] = 5.9 * 3600
    assert shown() == 0
    now[0] = 6.1 * 3600
    assert math.isnan(shown() or 0)
    metrics.canary("judge", right=True, trusted=True)
    assert shown() == 1


def exercise(metrics: Metrics) -> None:
    """Call every method once."""
    metrics.handled("scorer", "done", 0.02)
    metrics.processed("selector", 30)
    metrics.retried("scorer", "DeadlineExceeded")
    metrics.dead_lettered("scorer", "PoisonError")
    metrics.in_flight("scorer", 7)
    metrics.lag("scorer", "samples.verified", 3, 42)
    metrics.assigned("scorer", 3)
    metrics.committed("scorer", 0.004)
    metrics.model_request("ifd", 0.3, "DeadlineExceeded")
    metrics.breaker("triton", "open")
    metrics.chat("judge", 100, 20, 0.003)
    metrics.passed("verifier", 5)
    metrics.rejected("verifier", "arithmetic", 2)
    metrics.finalized(500)
    metrics.scored(Sample.model_validate_json((EXAMPLES / "sample.v1.json").read_bytes()))
    metrics.ingested("parquet", 1000, 2_000_000)
    metrics.file_ingested("parquet")
    metrics.window_age(lambda: 12.5)
    metrics.released(RELEASE)
    metrics.chat_budget(20.0)
    metrics.verified(Sample.model_validate_json((EXAMPLES / "sample.v1.json").read_bytes()))
    metrics.sandbox("bubblewrap", works=True)
    metrics.canary("judge", right=False, trusted=False)
    metrics.not_generated("self_instruct", "repeat")
    for window, score in [(0, 0.2)] * LEAST + [(1, 0.9)] * LEAST:
        metrics.drifted(scored_sample(window, score))
    metrics.exported(497, 2.5)
    metrics.trained(1.25, 512)


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics()
    exercise(made)
    return made


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_names_follow_the_conventions():
    names = [one.name for one in DEFINITIONS]
    assert len(set(names)) == len(names)
    for one in DEFINITIONS:
        assert re.fullmatch(r"limoflow_[a-z]+(_[a-z]+)*", one.name), one.name
        assert one.name.endswith("_total") == (one.kind == "counter"), one.name
        assert one.help.endswith("."), one.name
        assert one.unit, one.name
        assert bool(one.buckets) == (one.kind == "histogram"), one.name
        assert list(one.buckets) == sorted(set(one.buckets)), one.name
        assert not UNBOUNDED & set(one.labels), one.name
        if one.unit in {"seconds", "bytes"}:
            assert one.unit in one.name, one.name


def test_every_constant_is_in_the_list():
    assert {one.name for one in vars(module).values() if isinstance(one, module.Definition)} == {
        one.name for one in DEFINITIONS
    }


def test_every_definition_is_exposed_with_its_kind_and_labels_and_nothing_else_is(metrics):
    families = {
        family.name: family for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
    }
    seen = {name: family for name, family in families.items() if not name.endswith("_created")}
    assert set(seen) == {one.name.removesuffix("_total") for one in DEFINITIONS}
    for one in DEFINITIONS:
        family = seen[one.name.removesuffix("_total")]
        assert family.type == one.kind
        assert family.samples, f"{one.name}: no method moves it"
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(one.labels), one.name


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("limoflow_handled_total", {"stage": "scorer", "outcome": "done"}, 1),
        ("limoflow_handled_total", {"stage": "selector", "outcome": "done"}, 30),
        ("limoflow_handling_seconds_sum", {"stage": "scorer"}, 0.02),
        # There before the first such error, so that it counts as an increase.
        ("limoflow_dead_letters_total", {"stage": "scorer", "error_class": "RowError"}, 0),
        ("limoflow_retries_total", {"stage": "scorer", "error_class": "DeadlineExceeded"}, 1),
        ("limoflow_dead_letters_total", {"stage": "scorer", "error_class": "PoisonError"}, 1),
        ("limoflow_in_flight_records", {"stage": "scorer"}, 7),
        ("limoflow_lag_records", {"stage": "scorer", "topic": "samples.verified", "partition": "3"}, 42),
        ("limoflow_commit_seconds_count", {"stage": "scorer"}, 1),
        ("limoflow_model_request_seconds_sum", {"model": "ifd"}, 0.3),
        ("limoflow_model_errors_total", {"model": "ifd", "error_class": "DeadlineExceeded"}, 1),
        ("limoflow_breaker_state", {"dependency": "triton"}, 2),
        ("limoflow_chat_tokens_total", {"model": "judge", "kind": "prompt"}, 100),
        ("limoflow_chat_tokens_total", {"model": "judge", "kind": "completion"}, 20),
        ("limoflow_chat_cost_dollars_total", {"model": "judge"}, 0.003),
        ("limoflow_passed_total", {"stage": "verifier"}, 5),
        ("limoflow_rejected_total", {"stage": "verifier", "reason": "arithmetic"}, 2),
        ("limoflow_finalized_total", {}, 500),
        ("limoflow_score_ratio_sum", {"score": "quality"}, 0.83),
        ("limoflow_score_ratio_sum", {"score": "complexity"}, 0.41),
        ("limoflow_score_ratio_sum", {"score": "depth"}, 0.5),
        ("limoflow_score_ratio_sum", {"score": "safety"}, 1.0),
        ("limoflow_score_ratio_sum", {"score": "answer_match"}, 0.9),
        ("limoflow_ifd_ratio_sum", {}, 0.58),
        ("limoflow_ingested_rows_total", {"format": "parquet"}, 1000),
        ("limoflow_ingested_bytes_total", {"format": "parquet"}, 2_000_000),
        ("limoflow_ingested_files_total", {"format": "parquet"}, 1),
        ("limoflow_oldest_window_age_seconds", {}, 12.5),
        ("limoflow_releases_total", {}, 1),
        ("limoflow_release_shortfall_rows", {}, RELEASE.shortfall),
        ("limoflow_release_diversity_ratio", {}, RELEASE.rows[0].diversity_contribution),
        ("limoflow_chat_budget_dollars", {}, 20),
        ("limoflow_judge_canaries_total", {"model": "judge", "outcome": "wrong"}, 1),
        ("limoflow_judge_trusted", {"model": "judge"}, 0),
        ("limoflow_generation_refusals_total", {"strategy": "self_instruct", "reason": "repeat"}, 1),
        ("limoflow_exports_total", {}, 1),
        ("limoflow_exported_rows_total", {}, 497),
        ("limoflow_export_seconds_sum", {}, 2.5),
        ("limoflow_training_loss_nats", {}, 1.25),
        ("limoflow_training_steps_total", {}, 1),
        ("limoflow_training_tokens_total", {}, 512),
    ],
)
def test_each_method_moves_its_metric(metrics, name, labels, expected):
    assert value(metrics, name, **labels) == expected


def test_a_success_counts_no_error_and_a_sample_without_scores_enters_none():
    metrics = Metrics()
    metrics.model_request("ifd", 0.1)
    metrics.scored(Sample.model_validate_json(json.dumps({"id": "a", "instruction": "b", "response": "c"})))
    assert value(metrics, "limoflow_model_errors_total", model="ifd", error_class="None") is None
    assert value(metrics, "limoflow_ifd_ratio_count") == 0
    assert "limoflow_score_ratio_count" not in generate_latest(metrics.registry).decode()


def test_it_fits_the_observer_of_the_stream_runtime():
    observer: StreamObserver = Metrics()
    for name in vars(StreamObserver):
        if not name.startswith("_"):
            expected = inspect.signature(getattr(StreamObserver, name))
            assert inspect.signature(getattr(type(observer), name)) == expected


def test_two_instances_share_nothing():
    one, other = Metrics(), Metrics(CollectorRegistry())
    one.finalized()
    assert value(other, "limoflow_finalized_total") == 0
    assert value(one, "limoflow_finalized_total") == 1
    with pytest.raises(ValueError, match="Duplicated"):
        Metrics(one.registry)
