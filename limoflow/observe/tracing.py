"""OpenTelemetry traces over topics: one trace a sample, W3C trace context in the headers of its records.

Off unless OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) is set; then nothing of OpenTelemetry is
even imported. LIMOFLOW_TRACE_SHARE says which share of samples is traced: the decision falls once, where a sample
enters, by the hash of its id, so that a redelivered sample is decided alike; later stages go by the header alone.

Sources: W3C Trace Context, level 1 (the header `traceparent`); OpenTelemetry semantic conventions for messaging.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated

import structlog
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from limoflow.errors import MissingDependency
from limoflow.observe.trace_context import CURRENT
from limoflow.settings import from_environment
from limoflow.stream.types import Emit, Record
from schemas.headers import header_text
from schemas.topics import RAW

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span, SpanContext, Tracer

TRACEPARENT = "traceparent"
_HEX = frozenset("0123456789abcdef")


class TracingSettings(BaseSettings):
    """Settings of tracing, from the environment.

    Attributes
    ----------
    endpoint, traces_endpoint : str
        Of an OTLP collector over HTTP, by OpenTelemetry's own variables; none: no tracing.
    share : float
        Share of the samples that is traced, from LIMOFLOW_TRACE_SHARE; 0 to 1.
    """

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True)

    endpoint: Annotated[str, Field(validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")] = ""
    traces_endpoint: Annotated[str, Field(validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")] = ""
    share: Annotated[float, Field(ge=0.0, le=1.0, validation_alias="LIMOFLOW_TRACE_SHARE")] = 0.01


@contextmanager
def tracing(
    service: str, instance: str, settings: TracingSettings | None = None, processor: SpanProcessor | None = None
) -> Iterator[SampleTracer | None]:
    """Open the tracer of this process, or None where tracing is off; in the end, send what is left.

    Parameters
    ----------
    processor : SpanProcessor, optional
        What spans go to; batches for the OTLP endpoint by default.

    Raises
    ------
    MissingDependency
        When an endpoint is set and OpenTelemetry is not installed.
    """
    settings = settings or from_environment(TracingSettings)
    if not (settings.endpoint or settings.traces_endpoint) and processor is None:
        yield None
        return
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError as error:
        raise MissingDependency(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is missing: install limoflow[tracing]"
        ) from error
    named = {"service.name": f"limoflow-{service}", "service.instance.id": instance}
    # Which samples are traced was decided where they entered; here every span is kept.
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(processor or _otlp())
    try:
        yield SampleTracer(provider.get_tracer("limoflow"), settings.share)
    finally:
        provider.shutdown()


def _otlp() -> SpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter())


class SampleTracer:
    """Spans of samples; implements `limoflow.stream.tracer.StreamTracer`.

    Parameters
    ----------
    tracer : Tracer
    share : float
        Share of entering samples that is traced.
    """

    def __init__(self, tracer: Tracer, share: float) -> None:
        self._tracer = tracer
        self._share = share

    def handling(self, stage: str, record: Record) -> AbstractContextManager[SampleSpan | None]:
        """Open the span of a record that carries a sampled trace."""
        context = sampled_context(header_text(record.headers, TRACEPARENT))
        return nullcontext() if context is None else self._handling(stage, record, context)

    def processing(
        self, task: str, records: Sequence[Record], process: Callable[[Sequence[Record]], Iterable[Emit]]
    ) -> Iterable[Emit]:
        """Process a batch inside the spans of its sampled records."""
        spans: dict[str, SampleSpan] = {}
        for record in records:
            context = sampled_context(header_text(record.headers, TRACEPARENT))
            sample_id = header_text(record.headers, "ce_id")
            if context is not None and sample_id is not None:
                spans[sample_id] = SampleSpan(self._start(task, record.topic, record, context))
        try:
            for emit in process(records):
                span = spans.get(header_text(emit.headers, "ce_id") or "") if spans else None
                yield emit if span is None else span.carried(emit)
        finally:
            for span in spans.values():
                span.end()

    def entering(self, task: str) -> Callable[[Emit], Emit]:
        """Return what begins the trace of a sample of `samples.raw` that is drawn."""

        def begin(emit: Emit) -> Emit:
            if emit.topic != RAW or not drawn(emit.key or b"", self._share):
                return emit
            span = SampleSpan(self._tracer.start_span(f"{task} enter", attributes=_attributes(RAW, emit.key)))
            span.end()
            return span.carried(emit)

        return begin

    @contextmanager
    def _handling(self, stage: str, record: Record, context: SpanContext) -> Iterator[SampleSpan]:
        span = SampleSpan(self._start(stage, record.topic, record, context))
        mark = CURRENT.set(span.trace_id)
        try:
            with structlog.contextvars.bound_contextvars(trace_id=span.trace_id, span_id=span.span_id):
                yield span
        finally:
            CURRENT.reset(mark)
            span.end()

    def _start(self, stage: str, topic: str, record: Record, context: SpanContext) -> Span:
        from opentelemetry.trace import NonRecordingSpan, SpanKind, set_span_in_context

        span = self._tracer.start_span(
            f"{stage} process",
            context=set_span_in_context(NonRecordingSpan(context)),
            kind=SpanKind.CONSUMER,
            attributes=_attributes(topic, record.key),
        )
        span.set_attribute("messaging.destination.partition.id", str(record.partition))
        span.set_attribute("messaging.kafka.offset", record.offset)
        return span


class SampleSpan:
    """One open span; implements `limoflow.stream.tracer.StreamSpan`."""

    def __init__(self, span: Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.trace_id = f"{context.trace_id:032x}"
        self.span_id = f"{context.span_id:016x}"

    def outcome(self, word: str, error: Exception | None) -> None:
        """Write the outcome; of an error only its class, for its text may hold data."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attribute("limoflow.outcome", word)
        if error is not None:
            self._span.set_attribute("error.type", type(error).__name__)
            self._span.set_status(Status(StatusCode.ERROR))

    def carried(self, emit: Emit) -> Emit:
        """Return the output with this span as its parent."""
        others = tuple(header for header in emit.headers if header[0] != TRACEPARENT)
        parent = f"00-{self.trace_id}-{self.span_id}-01".encode()
        return Emit(emit.topic, emit.key, emit.value, (*others, (TRACEPARENT, parent)), emit.partition)

    def end(self) -> None:
        """Close the span."""
        self._span.end()


def drawn(sample_id: bytes, share: float) -> bool:
    """Whether a sample is traced: by the hash of its id, so always alike."""
    return int.from_bytes(hashlib.blake2b(sample_id, digest_size=8, person=b"limoflow trace").digest()) < share * 2**64


def sampled_context(header: str | None) -> SpanContext | None:
    """Parse a `traceparent` header; None where it is missing, malformed or says that the trace is not sampled."""
    parts = header.split("-") if header is not None else []
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2] or not _HEX.issuperset("".join(parts[:4])):
        return None
    version, trace_id, span_id, flags = parts[:4]
    invalid = version == "ff" or (version == "00" and len(parts) > 4) or not int(trace_id, 16) or not int(span_id, 16)
    if invalid or not int(flags, 16) & 1:
        return None
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(1))


def _attributes(topic: str, key: bytes | None) -> dict[str, str]:
    said = {"messaging.system": "kafka", "messaging.destination.name": topic}
    return said if key is None else {**said, "messaging.kafka.message.key": key.decode("utf-8", "replace")}
