"""A layer handles samples; this module makes a stream stage of it. Layers know no transport."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from limoflow.errors import PoisonError
from limoflow.runs import RunRegistry
from limoflow.stream.types import Emit, Record
from limoflow.versions import check_sample_version, check_version
from schemas.headers import event_headers
from schemas.run import Run
from schemas.sample import Filtering, Sample
from schemas.topics import REJECTED, RUNS

# Why a sample is refused that belongs to a stopped run.
RUN_STOPPED = "run_stopped"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A refused sample: the reason (a short stable word), the value that failed and the bound it failed."""

    sample: Sample
    reason: str
    value: float | str | None = None
    bound: float | str | None = None


@dataclass(frozen=True, slots=True)
class LayerResult:
    """What a layer made of one sample: what goes on, and what is refused."""

    passed: tuple[Sample, ...] = ()
    rejected: tuple[Rejection, ...] = ()


class Layer(Protocol):
    """One layer's work on one sample. It may raise as `limoflow.stream.types.Stage.handle` may."""

    @property
    def name(self) -> str:
        """The stage's name, as in topics.yaml."""
        ...

    @property
    def version(self) -> str:
        """The version of its behaviour, written into the lineage."""
        ...

    async def process(self, sample: Sample, run: Run) -> LayerResult:
        """Handle one sample of one run."""
        ...

    async def close(self) -> None:
        """Let go of connections and processes."""
        ...


def read_sample(record: Record) -> Sample:
    """Parse the sample in a record.

    Raises
    ------
    PoisonError
        When the bytes are no sample, or one of a version that this code does not read, or it was never stamped by an
        ingestor.
    """
    check_version(record)
    if record.value is None:
        raise PoisonError(f"{record.topic}[{record.partition}]@{record.offset} has no value; a sample was expected")
    try:
        sample = Sample.model_validate_json(record.value)
    except (ValidationError, RecursionError) as error:
        raise PoisonError(f"{record.topic}[{record.partition}]@{record.offset} holds no sample: {error}") from error
    check_sample_version(sample)
    if sample.metadata.lineage is None:
        raise PoisonError(
            f"{record.topic}[{record.partition}]@{record.offset}: sample {sample.id!r} has no metadata.lineage; "
            "samples enter through the ingestor"
        )
    return sample


def stamped(sample: Sample, stage: str, version: str) -> Sample:
    """Return the sample with the stage's version in its lineage."""
    lineage = sample.lineage
    return sample.extended(
        lineage=lineage.model_copy(update={"stage": stage, "versions": {**lineage.versions, stage: version}})
    )


def sample_emit(topic: str, sample: Sample, stage: str, *, reason: str | None = None) -> Emit:
    """Return the record of a sample, with CloudEvents headers."""
    lineage = sample.lineage
    headers = event_headers(
        "sample.v1",
        sample.id,
        stage,
        runid=lineage.run_id,
        window=lineage.window,
        contenthash=sample.content_hash,
        stage=stage,
        reason=reason,
    )
    return Emit(topic, sample.id.encode(), sample.to_bytes(), headers)


def rejection_emit(rejection: Rejection, stage: str) -> Emit:
    """Return the record of a refused sample on samples.rejected."""
    filtering = Filtering(selected=False, reason=rejection.reason, value=rejection.value, bound=rejection.bound)
    sample = rejection.sample.extended(filtering=filtering)
    return sample_emit(REJECTED, sample, stage, reason=rejection.reason)


class LayerStage:
    """A layer as a stage: samples from one topic, what passes to the next, what is refused to samples.rejected.

    Parameters
    ----------
    layer : Layer
    topic, output : str
        The topics it reads and writes.
    runs : RunRegistry
    on_result : callable, optional
        Called with the sample, its run and the result, for metrics.
    """

    broadcast = (RUNS,)

    def __init__(
        self,
        layer: Layer,
        topic: str,
        output: str,
        runs: RunRegistry,
        on_result: Callable[[Sample, Run, LayerResult], None] | None = None,
    ) -> None:
        self._layer = layer
        self.topic = topic
        self._output = output
        self._runs = runs
        self._on_result = on_result

    @property
    def name(self) -> str:
        """The consumer group."""
        return self._layer.name

    @property
    def version(self) -> str:
        """The version of the layer."""
        return self._layer.version

    def observe(self, records: Sequence[Record]) -> None:
        """Take note of runs."""
        self._runs.observe(records)

    async def handle(self, record: Record) -> Sequence[Emit]:
        """Parse, wait for the run, process, and address the results; the samples of a stopped run are refused."""
        sample = read_sample(record)
        run = await self._runs.wait(sample.lineage.run_id)
        if run.state == "stopping":
            result = LayerResult(rejected=(Rejection(sample, RUN_STOPPED),))
        else:
            result = await self._layer.process(sample, run)
        if self._on_result is not None:
            self._on_result(sample, run, result)
        name, version = self.name, self.version
        return [
            *(sample_emit(self._output, stamped(passed, name, version), name) for passed in result.passed),
            *(
                rejection_emit(
                    Rejection(stamped(refused.sample, name, version), refused.reason, refused.value, refused.bound),
                    name,
                )
                for refused in result.rejected
            ),
        ]

    async def close(self) -> None:
        """Close the layer."""
        await self._layer.close()
