"""Traces over topics: who is traced, what travels in the headers, what spans say, and that being off costs nothing."""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.exposition import generate_latest

from limoflow.errors import PoisonError
from limoflow.observe.logs import configure_logs
from limoflow.observe.metrics import Metrics
from limoflow.observe.tracing import TRACEPARENT, SampleTracer, TracingSettings, drawn, sampled_context, tracing
from limoflow.stream.stage_engine import Delivered, StageEngine
from limoflow.stream.types import Emit, Record
from schemas.headers import event_headers, header_text
from schemas.topics import RAW

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collected:
    """A tracer, and the spans that it ended."""

    def __init__(self, share: float = 1.0) -> None:
        self.sdk = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        export = pytest.importorskip("opentelemetry.sdk.trace.export")
        self.exporter = self.sdk.InMemorySpanExporter()
        self.open = tracing("test", "0", TracingSettings(share=share), export.SimpleSpanProcessor(self.exporter))

    def __enter__(self) -> tuple[SampleTracer, Collected]:
        tracer = self.open.__enter__()
        assert tracer is not None
        return tracer, self

    def __exit__(self, *_: object) -> None:
        self.open.__exit__(None, None, None)

    @property
    def spans(self) -> dict[str, object]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


class Passing:
    """Passes samples on, logs, and refuses poison."""

    version, broadcast = "1", ()

    def __init__(self, name: str, topic: str, output: str) -> None:
        self.name, self.topic, self.output = name, topic, output

    def observe(self, records: Sequence[Record]) -> None: ...

    async def handle(self, record: Record) -> Sequence[Emit]:
        structlog.stdlib.get_logger(self.name).info("handled")
        if record.value == b"poison":
            raise PoisonError("it holds no sample")
        return [Emit(self.output, record.key, record.value, event_headers("sample.v1", "a", self.name))]

    async def close(self) -> None: ...


async def through(stage: Passing, emit: Emit, tracer: SampleTracer | None, metrics: Metrics | None = None) -> Emit:
    """Send a record through a stage and return its output."""
    written: list[Emit] = []

    def write(emits: Sequence[Emit], delivered: Delivered) -> None:
        written.extend(emits)
        delivered(None)

    engine = StageEngine(stage, write, in_flight=1, tracer=tracer, observer=metrics)
    engine.start()
    engine.accept(Record(emit.topic, 0, 5, emit.key, emit.value, emit.headers))
    await engine.settled(5.0)
    await engine.stop()
    (one,) = written
    return one


def entered(tracer: SampleTracer, value: bytes = b"x") -> Emit:
    return tracer.entering("ingestor")(Emit(RAW, b"a", value, event_headers("sample.v1", "a", "ingestor")))


async def test_a_sample_is_one_trace_over_stages_and_tasks() -> None:
    with Collected() as (tracer, collected):
        raw = entered(tracer)
        candidate = await through(Passing("generator", RAW, "samples.candidate"), raw, tracer)
        verified = await through(Passing("verifier", "samples.candidate", "samples.verified"), candidate, tracer)
        record = Record("samples.scored", 0, 1, b"a", b"x", verified.headers)

        def process(records: Sequence[Record]) -> Iterable[Emit]:
            return [Emit("selector.pool", b"k", records[0].value, event_headers("sample.v1", "a", "selector"))]

        (pooled,) = tracer.processing("selector", [record], process)
    spans = collected.spans
    assert list(spans) == ["ingestor enter", "generator process", "verifier process", "selector process"]
    assert len({span.context.trace_id for span in spans.values()}) == 1
    chain = list(spans.values())
    for parent, child in itertools.pairwise(chain):
        assert child.parent.span_id == parent.context.span_id
    header = header_text(pooled.headers, TRACEPARENT)
    assert header == f"00-{chain[-1].context.trace_id:032x}-{chain[-1].context.span_id:016x}-01"
    assert [name for name, _ in pooled.headers].count(TRACEPARENT) == 1
    assert chain[1].attributes["messaging.destination.name"] == RAW
    assert chain[1].attributes["messaging.kafka.offset"] == 5


async def test_a_dead_letter_carries_the_trace_and_the_span_names_the_error_but_not_its_text() -> None:
    with Collected() as (tracer, collected):
        letter = await through(Passing("generator", RAW, "x"), entered(tracer, b"poison"), tracer)
    span = collected.spans["generator process"]
    assert letter.topic == "dlq.generator"
    assert f"{span.context.trace_id:032x}" in (header_text(letter.headers, TRACEPARENT) or "")
    assert span.attributes["error.type"] == "PoisonError"
    assert "no sample" not in span.to_json()


async def test_logs_and_latency_histograms_name_the_trace() -> None:
    lines, metrics = io.StringIO(), Metrics()
    configure_logs("generator", "0", stream=lines)
    with Collected() as (tracer, collected):
        await through(Passing("generator", RAW, "x"), entered(tracer), tracer, metrics)
    trace_id = f"{collected.spans['generator process'].context.trace_id:032x}"
    (line,) = [json.loads(line) for line in lines.getvalue().splitlines() if "handled" in line]
    assert line["trace_id"] == trace_id
    exposed = generate_latest(metrics.registry).decode()
    assert f'# {{trace_id="{trace_id}"}}' in exposed


async def test_what_is_not_sampled_makes_no_span_and_no_header() -> None:
    with Collected(share=0.0) as (tracer, collected):
        candidate = await through(Passing("generator", RAW, "x"), entered(tracer), tracer)
    assert not collected.spans
    assert header_text(candidate.headers, TRACEPARENT) is None


@given(st.binary(min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_sample_that_a_small_share_draws_is_drawn_by_a_larger_one(key: bytes, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert drawn(key, large) or not drawn(key, small)


def test_about_the_share_is_drawn() -> None:
    assert 80 <= sum(drawn(str(number).encode(), 0.1) for number in range(1000)) <= 120


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00",
        f"00-{TRACE}-{SPAN}-00",  # not sampled
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
    ],
)
def test_a_malformed_header_is_no_trace(header: str | None) -> None:
    assert sampled_context(header) is None


@given(st.text(max_size=80))
def test_no_header_breaks_a_stage(header: str) -> None:
    context = sampled_context(header)
    assert context is None or context.is_valid


def test_a_header_of_a_later_version_is_read() -> None:
    pytest.importorskip("opentelemetry")
    context = sampled_context(f"01-{TRACE}-{SPAN}-01-later")
    assert context is not None
    assert f"{context.trace_id:032x}" == TRACE


def test_off_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with tracing("scorer", "0") as tracer:
        assert tracer is None
    code = "import sys, limoflow.service; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
