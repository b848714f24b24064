"""Every metric of limoflow: its name, kind, unit, labels and meaning. No other module defines one.

Names follow the Prometheus conventions: prefix, what is measured, base unit, `_total` on counters. No label takes
values without bound: never a run, a window, a sample or a text.
"""

from __future__ import annotations

import collections
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from limoflow.observe.drift import DriftWatch
from limoflow.observe.trace_context import exemplar
from schemas.release import Release
from schemas.sample import AdvancedAssessment, Evaluations, Sample

Kind = Literal["counter", "gauge", "histogram"]
BreakerState = Literal["closed", "half_open", "open"]

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LONG = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
_UNIT_INTERVAL = tuple(step / 20 for step in range(1, 21))
_RATIO = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
_COMMON_ERRORS = (
    "ExportError",
    "PoisonError",
    "RefusedTraining",
    "RowError",
    "SourceError",
    "TrainingError",
    "UsageError",
)
_JUDGE_IDLE_S = 6 * 3600.0
_BREAKER_VALUES: dict[BreakerState, int] = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric.

    Attributes
    ----------
    unit : str
        What one step of the value is: `records`, `seconds`, `bytes`, ...
    buckets : tuple of float
        Upper bounds of a histogram, in the unit.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


HANDLED = Definition(
    "limoflow_handled_total",
    "counter",
    "records",
    "Records that a stage has finished, by outcome (done, dead_lettered); a task's batches count as done.",
    ("stage", "outcome"),
)
HANDLING = Definition(
    "limoflow_handling_seconds",
    "histogram",
    "seconds",
    "Time from taking a record to its outcome, retries included, in stages that handle records one by one.",
    ("stage",),
    _LATENCY,
)
RETRIES = Definition(
    "limoflow_retries_total",
    "counter",
    "attempts",
    "Attempts that failed and are tried again.",
    ("stage", "error_class"),
)
DEAD_LETTERS = Definition(
    "limoflow_dead_letters_total",
    "counter",
    "records",
    "Records that could not be read or handled; their bytes are on dlq.<stage>.",
    ("stage", "error_class"),
)
IN_FLIGHT = Definition(
    "limoflow_in_flight_records", "gauge", "records", "Records taken and not yet acknowledged.", ("stage",)
)
LAG = Definition(
    "limoflow_lag_records",
    "gauge",
    "records",
    "Records between the committed offset of a stage and the end of a partition.",
    ("stage", "topic", "partition"),
)
PARTITIONS = Definition(
    "limoflow_assigned_partitions",
    "gauge",
    "partitions",
    "Partitions that a worker reads; 0: its stage has more workers than partitions, and this one stands by.",
    ("stage",),
)
COMMITS = Definition(
    "limoflow_commit_seconds",
    "histogram",
    "seconds",
    "Time to commit offsets, with their outputs where the stage is transactional.",
    ("stage",),
    _LATENCY,
)
PASSED = Definition("limoflow_passed_total", "counter", "samples", "Samples that a stage has sent on.", ("stage",))
REJECTED = Definition(
    "limoflow_rejected_total", "counter", "samples", "Samples refused, by stage and reason.", ("stage", "reason")
)
FINALIZED = Definition("limoflow_finalized_total", "counter", "samples", "Samples chosen into a release.")
SCORES = Definition(
    "limoflow_score_ratio",
    "histogram",
    "ratio",
    "Distribution of a score in [0, 1], by its name.",
    ("score",),
    _UNIT_INTERVAL,
)
IFD = Definition(
    "limoflow_ifd_ratio",
    "histogram",
    "ratio",
    "Instruction-following difficulty: loss with the instruction by loss without it.",
    (),
    _RATIO,
)
MODEL_REQUESTS = Definition(
    "limoflow_model_request_seconds",
    "histogram",
    "seconds",
    "Time of a request to a model server or chat endpoint, failed ones included.",
    ("model",),
    _LATENCY,
)
MODEL_ERRORS = Definition(
    "limoflow_model_errors_total",
    "counter",
    "requests",
    "Requests to a model server or chat endpoint that failed.",
    ("model", "error_class"),
)
BREAKER = Definition(
    "limoflow_breaker_state",
    "gauge",
    "state",
    "Circuit breaker of a dependency: 0 closed, 1 half open, 2 open.",
    ("dependency",),
)
CHAT_TOKENS = Definition(
    "limoflow_chat_tokens_total",
    "counter",
    "tokens",
    "Tokens paid for, by kind (prompt, completion).",
    ("model", "kind"),
)
CHAT_COST = Definition("limoflow_chat_cost_dollars_total", "counter", "dollars", "Cost of chat requests.", ("model",))
INGESTED_ROWS = Definition(
    "limoflow_ingested_rows_total", "counter", "rows", "Rows admitted to samples.raw, by file format.", ("format",)
)
INGESTED_BYTES = Definition(
    "limoflow_ingested_bytes_total",
    "counter",
    "bytes",
    "Bytes of the samples admitted to samples.raw, by file format.",
    ("format",),
)
INGESTED_FILES = Definition(
    "limoflow_ingested_files_total", "counter", "files", "Source files read to their end.", ("format",)
)
VERDICTS = Definition(
    "limoflow_check_verdicts_total",
    "counter",
    "verdicts",
    "Verdicts of the verifier's checks (pass, fail, unknown, timeout).",
    ("check", "verdict"),
)
CHECK_TIME = Definition(
    "limoflow_check_seconds", "histogram", "seconds", "Time of one check of one sample.", ("check",), _LATENCY
)
DISAGREEMENTS = Definition(
    "limoflow_check_disagreements_total",
    "counter",
    "samples",
    "Samples on which the checks disagree: at least one says pass and at least one says fail.",
)
CANARIES = Definition(
    "limoflow_judge_canaries_total",
    "counter",
    "canaries",
    "Items with a known verdict that were put to a judge, by whether it answered right or wrong.",
    ("model", "outcome"),
)
JUDGES = Definition(
    "limoflow_judge_trusted",
    "gauge",
    "state",
    "Whether a judge answers its canaries well enough for its votes to count: 1 yes, 0 no, and they are unknown.",
    ("model",),
)
REFUSALS = Definition(
    "limoflow_generation_refusals_total",
    "counter",
    "samples",
    "Children that a strategy did not make, by reason.",
    ("strategy", "reason"),
)
DRIFT = Definition(
    "limoflow_score_drift_index",
    "gauge",
    "index",
    "Population stability index of a score, less what chance makes: the newest window of a run against its first, of "
    "the run where it is largest; 0.1 is little, 0.25 much. No number where no run had enough scores in the last hour.",
    ("score",),
)
CHAT_BUDGET = Definition(
    "limoflow_chat_budget_dollars",
    "gauge",
    "dollars",
    "What chat requests may cost in 24 hours (LIMOFLOW_CHAT_BUDGET); 0 where there is no bound.",
)
WINDOW_AGE = Definition(
    "limoflow_oldest_window_age_seconds",
    "gauge",
    "seconds",
    "Age of the oldest window that has ended and has no release yet; 0 where there is none.",
)
RELEASES = Definition("limoflow_releases_total", "counter", "releases", "Windows closed with a release.")
RELEASE_TIME = Definition(
    "limoflow_release_timestamp_seconds",
    "gauge",
    "seconds",
    "When a worker made its newest release (seconds since 1970); 0 where it made none since its start.",
)
SHORTFALL = Definition(
    "limoflow_release_shortfall_rows", "gauge", "rows", "Rows that a worker's newest release lacks to its target."
)
RELEASE_DIVERSITY = Definition(
    "limoflow_release_diversity_ratio",
    "gauge",
    "ratio",
    "Mean distance of a worker's newest release's rows to the nearest row chosen before: 1 - cosine, in [0, 1].",
)
RELEASE_COVERAGE = Definition(
    "limoflow_release_coverage_ratio",
    "gauge",
    "ratio",
    "Share of the strata with a quota from which a worker's newest release has as many rows as the quota asks.",
)
EXPORTS = Definition("limoflow_exports_total", "counter", "releases", "Releases exported to a complete folder.")
EXPORTED_ROWS = Definition("limoflow_exported_rows_total", "counter", "rows", "Rows of exported releases.")
EXPORT_TIME = Definition(
    "limoflow_export_seconds", "histogram", "seconds", "Time to write the folder of a release.", (), _LONG
)
TRAINING_LOSS = Definition(
    "limoflow_training_loss_nats", "gauge", "nats", "Mean loss per answer token at the newest optimiser step."
)
TRAINING_STEPS = Definition("limoflow_training_steps_total", "counter", "steps", "Optimiser steps done.")
TRAINING_TOKENS = Definition("limoflow_training_tokens_total", "counter", "tokens", "Tokens trained on.")

SANDBOX = Definition(
    "limoflow_sandbox_available",
    "gauge",
    "state",
    "Whether programs that are not trusted can be run: 1 yes, 0 no, and their verdicts are unknown; by back end.",
    ("back_end",),
)

DEFINITIONS: tuple[Definition, ...] = (
    SANDBOX,
    HANDLED,
    HANDLING,
    RETRIES,
    DEAD_LETTERS,
    IN_FLIGHT,
    LAG,
    PARTITIONS,
    COMMITS,
    PASSED,
    REJECTED,
    FINALIZED,
    SCORES,
    IFD,
    MODEL_REQUESTS,
    MODEL_ERRORS,
    BREAKER,
    CHAT_TOKENS,
    CHAT_COST,
    CHAT_BUDGET,
    VERDICTS,
    CHECK_TIME,
    DISAGREEMENTS,
    CANARIES,
    JUDGES,
    REFUSALS,
    DRIFT,
    INGESTED_ROWS,
    INGESTED_BYTES,
    INGESTED_FILES,
    WINDOW_AGE,
    RELEASES,
    RELEASE_TIME,
    SHORTFALL,
    RELEASE_DIVERSITY,
    RELEASE_COVERAGE,
    EXPORTS,
    EXPORTED_ROWS,
    EXPORT_TIME,
    TRAINING_LOSS,
    TRAINING_STEPS,
    TRAINING_TOKENS,
)


def _counter(registry: CollectorRegistry, what: Definition) -> Counter:
    return Counter(what.name, what.help, what.labels, registry=registry)


def _gauge(registry: CollectorRegistry, what: Definition) -> Gauge:
    return Gauge(what.name, what.help, what.labels, registry=registry)


def _histogram(registry: CollectorRegistry, what: Definition) -> Histogram:
    return Histogram(what.name, what.help, what.labels, registry=registry, buckets=what.buckets)


class StreamMetrics:
    """What the stream runtime says of a stage; with `FunnelMetrics` it fits its observer protocol.

    Parameters
    ----------
    registry : CollectorRegistry
        Where the metrics live; one process may hold several, each with its own registry.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._handled = _counter(registry, HANDLED)
        self._handling = _histogram(registry, HANDLING)
        self._retries = _counter(registry, RETRIES)
        self._dead_letters = _counter(registry, DEAD_LETTERS)
        self._in_flight = _gauge(registry, IN_FLIGHT)
        self._lag = _gauge(registry, LAG)
        self._partitions = _gauge(registry, PARTITIONS)
        self._commits = _histogram(registry, COMMITS)

    def handled(self, stage: str, outcome: str, seconds: float) -> None:
        """Count one finished record and the time it took."""
        self._handled.labels(stage, outcome).inc()
        self._handling.labels(stage).observe(seconds, exemplar())

    def processed(self, stage: str, records: int) -> None:
        """Count the records of a task's batch."""
        self._handled.labels(stage, "done").inc(records)

    def retried(self, stage: str, error_class: str) -> None:
        """Count one failed attempt that is tried again."""
        self._retries.labels(stage, error_class).inc()

    def dead_lettered(self, stage: str, error_class: str) -> None:
        """Count one dead letter."""
        self._dead_letters.labels(stage, error_class).inc()

    def in_flight(self, stage: str, count: int) -> None:
        """Set the number of records taken and not yet acknowledged."""
        self._in_flight.labels(stage).set(count)

    def lag(self, stage: str, topic: str, partition: int, records: int) -> None:
        """Set the lag of one partition."""
        self._lag.labels(stage, topic, str(partition)).set(records)

    def assigned(self, stage: str, partitions: int) -> None:
        """Set the number of partitions that this worker reads."""
        self._partitions.labels(stage).set(partitions)
        for error_class in _COMMON_ERRORS:
            # A counter that appears with its first errors hides them from `increase`.
            self._dead_letters.labels(stage, error_class)

    def committed(self, stage: str, seconds: float) -> None:
        """Take the time of one commit."""
        self._commits.labels(stage).observe(seconds)


class ModelMetrics:
    """What the clients of model servers and chat endpoints say."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._model_requests = _histogram(registry, MODEL_REQUESTS)
        self._model_errors = _counter(registry, MODEL_ERRORS)
        self._breaker_state = _gauge(registry, BREAKER)
        self._chat_tokens = _counter(registry, CHAT_TOKENS)
        self._chat_cost = _counter(registry, CHAT_COST)
        self._chat_budget = _gauge(registry, CHAT_BUDGET)

    def model_request(self, model: str, seconds: float, error_class: str | None = None) -> None:
        """Take the time of one request, and its error where it failed."""
        self._model_requests.labels(model).observe(seconds, exemplar())
        if error_class is not None:
            self._model_errors.labels(model, error_class).inc()

    def breaker(self, dependency: str, state: BreakerState) -> None:
        """Set the state of the circuit breaker of a dependency."""
        self._breaker_state.labels(dependency).set(_BREAKER_VALUES[state])

    def chat(self, model: str, prompt_tokens: int, completion_tokens: int, cost_dollars: float = 0.0) -> None:
        """Count the tokens and the cost of one chat request."""
        self._chat_tokens.labels(model, "prompt").inc(prompt_tokens)
        self._chat_tokens.labels(model, "completion").inc(completion_tokens)
        self._chat_cost.labels(model).inc(cost_dollars)

    def chat_budget(self, dollars: float) -> None:
        """Set what chat requests may cost in 24 hours; 0 for no bound."""
        self._chat_budget.set(dollars)


def scores_of(sample: Sample) -> dict[str, float]:
    """Return the scores that a sample has, by the short names that the metrics use; `ifd` is the ratio of losses."""
    evaluations = sample.metadata.evaluations or Evaluations()
    assessment = sample.metadata.advanced_assessment or AdvancedAssessment()
    values = {
        "complexity": evaluations.instruction_complexity,
        "quality": evaluations.response_quality,
        "depth": evaluations.reasoning_depth,
        "safety": evaluations.safety_score,
        "answer_match": assessment.answer_match,
        "ifd": assessment.ifd.ratio if assessment.ifd is not None else None,
    }
    return {name: value for name, value in values.items() if value is not None}


class FunnelMetrics:
    """Where samples go, and how they score."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._passed = _counter(registry, PASSED)
        self._rejected = _counter(registry, REJECTED)
        self._finalized = _counter(registry, FINALIZED)
        self._scores = _histogram(registry, SCORES)
        self._ifd = _histogram(registry, IFD)

    def passed(self, stage: str, samples: int = 1) -> None:
        """Count samples that a stage has sent on."""
        self._passed.labels(stage).inc(samples)

    def rejected(self, stage: str, reason: str, samples: int = 1) -> None:
        """Count refused samples; the reason is a short stable word."""
        self._rejected.labels(stage, reason).inc(samples)

    def finalized(self, samples: int = 1) -> None:
        """Count samples chosen into a release."""
        self._finalized.inc(samples)

    def scored(self, sample: Sample) -> None:
        """Enter the scores that a sample has into their distributions."""
        for name, value in scores_of(sample).items():
            if name == "ifd":
                self._ifd.observe(value)
            else:
                self._scores.labels(name).observe(value)


class QualityMetrics:
    """What checks, judges and strategies say, and how scores move."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic) -> None:
        self._verdicts = _counter(registry, VERDICTS)
        self._check_time = _histogram(registry, CHECK_TIME)
        self._disagreements = _counter(registry, DISAGREEMENTS)
        self._canaries = _counter(registry, CANARIES)
        self._judges = _gauge(registry, JUDGES)
        self._refusals = _counter(registry, REFUSALS)
        self._drift_index = _gauge(registry, DRIFT)
        self._sandbox = _gauge(registry, SANDBOX)
        self._clock = clock
        self._trust: dict[str, tuple[bool, float]] = {}
        self._drift = DriftWatch()
        self._drifting = set[str]()

    def sandbox(self, back_end: str, *, works: bool) -> None:
        """Set whether programs can be run, and by which back end."""
        self._sandbox.labels(back_end).set(int(works))

    def verified(self, sample: Sample) -> None:
        """Count the verdicts of the checks on a sample, and whether they disagree."""
        verification = sample.metadata.verification
        results = verification.results if verification is not None else {}
        for check, result in results.items():
            self._verdicts.labels(check, result.verdict).inc()
            if result.seconds is not None:
                self._check_time.labels(check).observe(result.seconds, exemplar())
        if {"pass", "fail"} <= {result.verdict for result in results.values()}:
            self._disagreements.inc()

    def canary(self, model: str, *, right: bool, trusted: bool | None) -> None:
        """Count one item of known verdict that was put to a judge, and set whether its votes count after that.

        Neither holds of a judge that has not answered a full set (`trusted` is None), or was not asked for six hours.
        """
        self._canaries.labels(model, "right" if right else "wrong").inc()
        if trusted is not None:
            self._trust[model] = trusted, self._clock()
            self._judges.labels(model).set_function(partial(self._trusted, model))

    def _trusted(self, model: str) -> float:
        trusted, at = self._trust[model]
        return float(trusted) if self._clock() - at < _JUDGE_IDLE_S else math.nan

    def not_generated(self, strategy: str, reason: str) -> None:
        """Count one child that a strategy did not make; the reason is a short stable word."""
        self._refusals.labels(strategy, reason).inc()

    def drifted(self, sample: Sample) -> None:
        """Hold a scored sample's scores against those of its run's first window."""
        lineage = sample.lineage
        for name, value in scores_of(sample).items():
            index = self._drift.take(lineage.run_id, lineage.window, name, value)
            if index is not None and name not in self._drifting:
                self._drifting.add(name)
                self._drift_index.labels(name).set_function(partial(self._drift.worst, name))


class DataMetrics:
    """What enters, what is released and exported, and what is trained on it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ingested_rows = _counter(registry, INGESTED_ROWS)
        self._ingested_bytes = _counter(registry, INGESTED_BYTES)
        self._ingested_files = _counter(registry, INGESTED_FILES)
        self._window_age = _gauge(registry, WINDOW_AGE)
        self._releases = _counter(registry, RELEASES)
        self._release_time = _gauge(registry, RELEASE_TIME)
        self._shortfall = _gauge(registry, SHORTFALL)
        self._diversity = _gauge(registry, RELEASE_DIVERSITY)
        self._coverage = _gauge(registry, RELEASE_COVERAGE)
        self._exports = _counter(registry, EXPORTS)
        self._exported_rows = _counter(registry, EXPORTED_ROWS)
        self._export_time = _histogram(registry, EXPORT_TIME)
        self._training_loss = _gauge(registry, TRAINING_LOSS)
        self._training_steps = _counter(registry, TRAINING_STEPS)
        self._training_tokens = _counter(registry, TRAINING_TOKENS)

    def ingested(self, file_format: str, rows: int, size_bytes: int) -> None:
        """Count rows admitted, and the bytes of their samples."""
        self._ingested_rows.labels(file_format).inc(rows)
        self._ingested_bytes.labels(file_format).inc(size_bytes)

    def file_ingested(self, file_format: str) -> None:
        """Count one source file read to its end."""
        self._ingested_files.labels(file_format).inc()

    def window_age(self, seconds: Callable[[], float]) -> None:
        """Ask, at every scrape, for the age of the oldest window that has ended and has no release yet."""
        self._window_age.set_function(seconds)

    def released(self, release: Release) -> None:
        """Count one release, and set how many rows it lacks, how diverse it is and what it covers."""
        self._releases.inc()
        self._release_time.set_to_current_time()
        self._shortfall.set(release.shortfall)
        if release.rows:
            self._diversity.set(sum(row.diversity_contribution for row in release.rows) / len(release.rows))
        wanted = {stratum: quota for stratum, quota in release.quotas.items() if quota}
        if wanted:
            chosen = collections.Counter(row.stratum for row in release.rows)
            self._coverage.set(sum(chosen[stratum] >= quota for stratum, quota in wanted.items()) / len(wanted))

    def exported(self, rows: int, seconds: float) -> None:
        """Count one complete export folder."""
        self._exports.inc()
        self._exported_rows.inc(rows)
        self._export_time.observe(seconds)

    def trained(self, loss: float, tokens: int) -> None:
        """Take one optimiser step: its mean loss in nats per answer token, and the tokens of the step."""
        self._training_loss.set(loss)
        self._training_steps.inc()
        self._training_tokens.inc(tokens)


class Metrics(StreamMetrics, ModelMetrics, FunnelMetrics, QualityMetrics, DataMetrics):
    """Every metric of `DEFINITIONS`, in one registry.

    Parameters
    ----------
    registry : CollectorRegistry, optional
        A new one by default; a registry takes one `Metrics`.

    Raises
    ------
    ValueError
        When the registry holds metrics of these names already.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        StreamMetrics.__init__(self, self.registry)
        ModelMetrics.__init__(self, self.registry)
        FunnelMetrics.__init__(self, self.registry)
        QualityMetrics.__init__(self, self.registry)
        DataMetrics.__init__(self, self.registry)
