"""Every metric of limoflow: its name, kind, unit, labels and meaning. No other module defines one.

Names follow the Prometheus conventions: prefix, what is measured, base unit, `_total` on counters. No label takes
values without bound: never a run, a window, a sample or a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.sample import AdvancedAssessment, Evaluations, Sample

Kind = Literal["counter", "gauge", "histogram"]
BreakerState = Literal["closed", "half_open", "open"]

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LONG = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
_UNIT_INTERVAL = tuple(step / 20 for step in range(1, 21))
_RATIO = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)
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
    "Records that a stage has finished, by outcome (done, rejected, dead_lettered, ...).",
    ("stage", "outcome"),
)
HANDLING = Definition(
    "limoflow_handling_seconds",
    "histogram",
    "seconds",
    "Time from taking a record to its outcome, retries included.",
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
    "limoflow_ingested_bytes_total", "counter", "bytes", "Bytes of source files that were read.", ("format",)
)
INGESTED_FILES = Definition(
    "limoflow_ingested_files_total", "counter", "files", "Source files read to their end.", ("format",)
)
WINDOW_AGE = Definition(
    "limoflow_oldest_window_age_seconds",
    "gauge",
    "seconds",
    "Age of the oldest window that has ended and has no release yet; 0 where there is none.",
)
RELEASES = Definition("limoflow_releases_total", "counter", "releases", "Windows closed with a release.")
SHORTFALL = Definition(
    "limoflow_release_shortfall_rows", "gauge", "rows", "Rows that the newest release lacks to its target."
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

DEFINITIONS: tuple[Definition, ...] = (
    HANDLED,
    HANDLING,
    RETRIES,
    DEAD_LETTERS,
    IN_FLIGHT,
    LAG,
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
    INGESTED_ROWS,
    INGESTED_BYTES,
    INGESTED_FILES,
    WINDOW_AGE,
    RELEASES,
    SHORTFALL,
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
    """What the stream runtime says of a stage; fits its observer protocol.

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
        self._commits = _histogram(registry, COMMITS)

    def handled(self, stage: str, outcome: str, seconds: float) -> None:
        """Count one finished record and the time it took."""
        self._handled.labels(stage, outcome).inc()
        self._handling.labels(stage).observe(seconds)

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

    def model_request(self, model: str, seconds: float, error_class: str | None = None) -> None:
        """Take the time of one request, and its error where it failed."""
        self._model_requests.labels(model).observe(seconds)
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
        evaluations = sample.metadata.evaluations or Evaluations()
        assessment = sample.metadata.advanced_assessment or AdvancedAssessment()
        values = {
            "complexity": evaluations.instruction_complexity,
            "quality": evaluations.response_quality,
            "depth": evaluations.reasoning_depth,
            "safety": evaluations.safety_score,
            "answer_match": assessment.answer_match,
        }
        for name, value in values.items():
            if value is not None:
                self._scores.labels(name).observe(value)
        if assessment.ifd is not None and assessment.ifd.ratio is not None:
            self._ifd.observe(assessment.ifd.ratio)


class DataMetrics:
    """What enters, what is released and exported, and what is trained on it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ingested_rows = _counter(registry, INGESTED_ROWS)
        self._ingested_bytes = _counter(registry, INGESTED_BYTES)
        self._ingested_files = _counter(registry, INGESTED_FILES)
        self._window_age = _gauge(registry, WINDOW_AGE)
        self._releases = _counter(registry, RELEASES)
        self._shortfall = _gauge(registry, SHORTFALL)
        self._exports = _counter(registry, EXPORTS)
        self._exported_rows = _counter(registry, EXPORTED_ROWS)
        self._export_time = _histogram(registry, EXPORT_TIME)
        self._training_loss = _gauge(registry, TRAINING_LOSS)
        self._training_steps = _counter(registry, TRAINING_STEPS)
        self._training_tokens = _counter(registry, TRAINING_TOKENS)

    def ingested(self, file_format: str, rows: int, size_bytes: int) -> None:
        """Count rows admitted, and the bytes that were read for them."""
        self._ingested_rows.labels(file_format).inc(rows)
        self._ingested_bytes.labels(file_format).inc(size_bytes)

    def file_ingested(self, file_format: str) -> None:
        """Count one source file read to its end."""
        self._ingested_files.labels(file_format).inc()

    def window_age(self, seconds: float) -> None:
        """Set the age of the oldest window that has ended and has no release yet."""
        self._window_age.set(seconds)

    def released(self, shortfall: int) -> None:
        """Count one release, and set how many rows it lacks."""
        self._releases.inc()
        self._shortfall.set(shortfall)

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


class Metrics(StreamMetrics, ModelMetrics, FunnelMetrics, DataMetrics):
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
        DataMetrics.__init__(self, self.registry)
