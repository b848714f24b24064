"""The records of chosen and refused samples."""

from __future__ import annotations

from dataclasses import replace

import orjson

from limoflow.layer import sample_emit, stamped
from limoflow.stream.types import Emit
from schemas.headers import RELEASE, event_headers
from schemas.sample import Filtering, Sample
from schemas.topics import FINALIZED, REJECTED
from services.selector import explain

STAGE = "selector"
VERSION = "1"


def marked(sample: Sample, why: Filtering) -> Sample:
    """Return the sample with the selector's decision and version."""
    return stamped(sample.extended(filtering=why), STAGE, VERSION)


def refusal_emit(
    sample: Sample, reason: str, *, value: float | str | None = None, bound: float | str | None = None
) -> Emit:
    """Return the record of a sample that one rule refused before its window closed."""
    return refused_emit(sample, explain.refused(reason, value=value, bound=bound))


def refused_emit(sample: Sample, why: Filtering) -> Emit:
    """Return the record of a refused sample."""
    return sample_emit(REJECTED, marked(sample, why), STAGE, reason=why.reason)


def refused_bytes_emit(data: bytes, content: str, why: Filtering) -> Emit:
    """Return the record of a refused sample from its bytes, as `refused_emit` does, without building the model."""
    sample = orjson.loads(data)
    metadata = sample["metadata"]
    lineage = metadata["lineage"]
    metadata["filtering"] = why.model_dump(exclude_unset=True)
    lineage["stage"] = STAGE
    lineage["versions"] = {**lineage.get("versions", {}), STAGE: VERSION}
    headers = event_headers(
        "sample.v1",
        sample["id"],
        STAGE,
        runid=lineage["run_id"],
        window=lineage["window"],
        contenthash=content,
        stage=STAGE,
        reason=why.reason,
    )
    return Emit(REJECTED, sample["id"].encode(), orjson.dumps(sample), headers)


def chosen_emit(sample: Sample, why: Filtering, release_id: str) -> Emit:
    """Return the record of a chosen sample, with its release in the headers."""
    emit = sample_emit(FINALIZED, marked(sample, why), STAGE, reason=why.reason)
    return replace(emit, headers=(*emit.headers, (RELEASE, release_id.encode())))
