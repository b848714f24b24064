"""The records of chosen and refused samples."""

from __future__ import annotations

from dataclasses import replace

import orjson

from limoflow.layer import sample_emit, stamped
from limoflow.stream.types import Emit
from schemas.headers import RELEASE, event_headers
from schemas.sample import Filtering, Sample
from schemas.topics import FINALIZED, REJECTED

STAGE = "selector"
VERSION = "1"


def marked(sample: Sample, why: Filtering) -> Sample:
    """Return the sample with the selector's decision and version."""
    return stamped(sample.extended(filtering=why), STAGE, VERSION)


def refused_emit(data: bytes, content: str, why: Filtering) -> Emit:
    """Return the record of a refused sample from its bytes, which is what `marked` would make, without the model.

    Parameters
    ----------
    data : bytes
        The scored sample as strict JSON.
    content : str
        Its content hash.
    why : Filtering
    """
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
