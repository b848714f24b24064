"""One layer over a file of samples: the same handlers as in the stream."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson

from limoflow.errors import PoisonError, UsageError
from limoflow.layer import Layer, LayerResult, Rejection, stamped
from limoflow.settings import Home
from limoflow.versions import check_sample_version
from limoflow.wiring.plan import Tell, plan_checks, plan_indexes, plan_models, plan_selection
from schemas.identity import source_id
from schemas.run import Run, RunSpec
from schemas.sample import Filtering, Lineage, Sample

_IN_FLIGHT = 64


def apply_layer(name: str, spec: RunSpec, samples: Path, output: Path, home: Home, *, tell: Tell) -> list[str]:
    """Apply `generate`, `verify`, `score` or `select` to a file, and return a summary, one line for each outcome.

    Raises
    ------
    UsageError
        When the file is missing, or a line of it is no sample.
    RunSpecError
        When what the spec says of the selection does not hold.
    """
    if name == "select":
        spec = plan_selection(spec, Path.cwd())
    if name == "verify":
        plan_checks(spec, Path.cwd(), tell)
    models = _models(name, spec, samples, home, tell)
    run = Run(run_id=spec.name, spec=spec, folder=str(Path.cwd()), models=models)
    counts: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    with _written(output) as passed, _written(output.with_suffix(".rejected.jsonl")) as refused:
        for result in _results(name, _read(samples, run.run_id), run, home):
            if name == "verify":
                verdicts.update(_verdicts(result))
            for sample in result.passed:
                counts["passed"] += 1
                passed.write(sample.to_bytes() + b"\n")
            for rejection in result.rejected:
                counts[f"rejected: {rejection.reason}"] += 1
                refused.write(_marked(rejection).to_bytes() + b"\n")
    for what, count in sorted(verdicts.items()):
        tell(f"{count:>8}  {what}")
    return [f"{count:>8}  {what}" for what, count in sorted(counts.items())]


def _models(name: str, spec: RunSpec, samples: Path, home: Home, tell: Tell) -> dict[str, str]:
    """Return the models of a layer; a selection asks none, and only names its index."""
    if name == "select":
        return plan_indexes(spec, Path.cwd())
    if name != "score":
        return {}

    def texts() -> Iterator[tuple[str, str]]:
        return ((sample.instruction, sample.response) for sample in _read(samples, spec.name))

    return plan_models(spec, Path.cwd(), home, tell, texts)


def _verdicts(result: LayerResult) -> Iterator[str]:
    for sample in result.passed:
        told = sample.metadata.verification
        yield "of those that passed: " + ("verified" if told and told.verified else "not verified")
    for sample in (*result.passed, *(refused.sample for refused in result.rejected)):
        verification = sample.metadata.verification
        for check, found in (verification.results if verification else {}).items():
            reason = f": {found.reason.partition(':')[0]}" if found.reason and found.verdict != "pass" else ""
            yield f"{check} {found.verdict}{reason}"


def _results(name: str, samples: Iterator[Sample], run: Run, home: Home) -> Iterable[LayerResult]:
    if name == "select":
        from services.selector.app import select_file

        return [select_file(samples, run)]
    return asyncio.run(_through(name, samples, run, home))


async def _through(name: str, samples: Iterator[Sample], run: Run, home: Home) -> list[LayerResult]:
    from limoflow.wiring.layers import open_layer

    read = list(samples)  # a line that is no sample is told before any work is begun
    async with open_layer(name, home) as layer:
        gate = asyncio.Semaphore(_IN_FLIGHT)
        return await asyncio.gather(*[_one(layer, sample, run, gate) for sample in read])


async def _one(layer: Layer, sample: Sample, run: Run, gate: asyncio.Semaphore) -> LayerResult:
    async with gate:
        result = await layer.process(sample, run)
    return LayerResult(tuple(stamped(passed, layer.name, layer.version) for passed in result.passed), result.rejected)


def _read(path: Path, run_id: str) -> Iterator[Sample]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines):
                if line.strip():
                    yield _sample(line, f"{path.name}#{number}", run_id)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def _sample(line: bytes, source_ref: str, run_id: str) -> Sample:
    try:
        fields = _parsed(line)
        if isinstance(fields, dict):
            fields.setdefault("id", source_id(source_ref))
        sample = Sample.model_validate(fields)
        check_sample_version(sample)
    except (ValueError, RecursionError, PoisonError) as error:
        raise UsageError(f"{source_ref}: is no sample: {error}") from error
    if sample.metadata.lineage is None:
        return sample.extended(lineage=Lineage(run_id=run_id, window=0, source_ref=source_ref))
    return sample


def _parsed(line: bytes) -> Any:
    """Parse JSON, and what Python writes as JSON: NaN and infinities are numbers that are missing, as in the stream."""
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        if b"NaN" not in line and b"Infinity" not in line:
            raise
        return json.loads(line)


def _marked(rejection: Rejection) -> Sample:
    if rejection.sample.metadata.filtering is not None:
        return rejection.sample
    filtering = Filtering(selected=False, reason=rejection.reason, value=rejection.value, bound=rejection.bound)
    return rejection.sample.extended(filtering=filtering)


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name only when the block ends well."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as stream:
            yield stream
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
