"""The records of chosen and refused samples."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson

from limoflow.layer import sample_emit, stamped
from limoflow.stream.types import Emit
from schemas.headers import CONTENT, RELEASE, Headers, event_headers
from schemas.sample import Filtering, Sample
from schemas.topics import FINALIZED, REJECTED
from services.selector.explain import Refused

STAGE = "selector"
VERSION = "1"

# After a comma or a bracket this is a key, in compact JSON: in a text its quotes would be escaped.
_LINEAGE = b'"lineage":'
_KNOWN = frozenset(Sample.model_fields)


def marked(sample: Sample, why: Filtering) -> Sample:
    """Return the sample with the selector's decision and version."""
    return stamped(sample.extended(filtering=why), STAGE, VERSION)


def refused_emit(data: bytes, sample_id: str, content: str, why: Refused, *, tidy: bool = False) -> Emit:
    """Return the record of a refused sample from its bytes, which is what `marked` would make, without the model.

    Parameters
    ----------
    data : bytes
        The scored sample as strict JSON.
    sample_id, content : str
        Its id and content hash.
    why : Refused
    tidy : bool
        Whether `is_tidy` was seen to hold. Where the bytes then end with the lineage, those before it are kept as they
        are, and not parsed.
    """
    place = _ending_lineage(data) if tidy else None
    parsed = None if place is None else _object(data[place + len(_LINEAGE) : -2])
    if place is None or parsed is None:
        return _reparsed_emit(data, sample_id, content, why)
    lineage = _lineage_after(parsed)
    parts = (data[:place], _LINEAGE, orjson.dumps(lineage), b',"filtering":', orjson.dumps(why.fields()), b"}}")
    return Emit(REJECTED, sample_id.encode(), b"".join(parts), _headers(sample_id, content, why, lineage))


def is_tidy(fields: Collection[str], of_metadata: Collection[str]) -> bool:
    """Return whether a sample with these fields has no unknown ones beside `metadata`, and no `filtering` in it."""
    return "filtering" not in of_metadata and _KNOWN.issuperset(fields)


def _reparsed_emit(data: bytes, sample_id: str, content: str, why: Refused) -> Emit:
    sample = orjson.loads(data)
    metadata = sample["metadata"]
    metadata["filtering"] = why.fields()
    metadata["lineage"] = lineage = _lineage_after(metadata["lineage"])
    return Emit(REJECTED, sample_id.encode(), orjson.dumps(sample), _headers(sample_id, content, why, lineage))


def _ending_lineage(data: bytes) -> int | None:
    """Return where the key of a lineage begins, if what follows it may be one object and the end of two.

    If it is, then it is that of `metadata`, for no other object lies in the sample itself.
    """
    place = data.rfind(_LINEAGE)
    return place if place > 0 and data[place - 1] in b",{" and data.endswith(b"}}}") else None


def _object(data: bytes) -> dict[str, Any] | None:
    """Return one JSON object, or None where these bytes are not just that."""
    try:
        found: dict[str, Any] = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return found


def _lineage_after(lineage: dict[str, Any]) -> dict[str, Any]:
    return {**lineage, "stage": STAGE, "versions": {**lineage.get("versions", {}), STAGE: VERSION}}


def _headers(sample_id: str, content: str, why: Refused, lineage: dict[str, Any]) -> Headers:
    first, _, *others = _shared_headers(lineage["run_id"], lineage["window"], why.reason)
    return (first, ("ce_id", sample_id.encode()), *others, (CONTENT, content.encode()))


@lru_cache(maxsize=1_024)
def _shared_headers(run_id: str, window: int, reason: str) -> Headers:
    return event_headers("sample.v1", "", STAGE, runid=run_id, window=window, stage=STAGE, reason=reason)


def chosen_emit(sample: Sample, why: Filtering, release_id: str) -> Emit:
    """Return the record of a chosen sample, with its release in the headers."""
    emit = sample_emit(FINALIZED, marked(sample, why), STAGE, reason=why.reason)
    return replace(emit, headers=(*emit.headers, (RELEASE, release_id.encode())))
