"""What the selector needs of a scored sample, taken from its bytes without building the whole model."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from schemas.identity import content_hash
from schemas.sample import Sample

UNKNOWN_DIFFICULTY = "unknown"

# Weight names that stand for a field under another name; every other name is looked up in metadata.evaluations.
_EVALUATIONS = {
    "complexity": "instruction_complexity",
    "quality": "response_quality",
    "depth": "reasoning_depth",
    "safety": "safety_score",
}
_ASSESSMENTS = {"ifd": "ifd_score", "learning_potential": "learning_potential"}
MATCH_PART = "answer_match"


@dataclass(frozen=True, slots=True)
class VectorSpace:
    """Where an embedding lives; vectors of different spaces are never compared."""

    model: str
    dimensions: int


@dataclass(slots=True, eq=False)
class Candidate:
    """One scored sample of a window's pool.

    Attributes
    ----------
    parts : dict
        Named scores as they were recorded; they may be missing, no numbers, or out of range.
    vector : array of float16, shape (dimensions,), optional
        The embedding as it was recorded.
    created : str, optional
        When it was made, ISO 8601.
    detail : float, optional
        Its score of detail.
    """

    id: str
    content: str
    domain: str
    difficulty: str
    instruction: str
    response: str
    language: str | None
    parent: str | None
    source_ref: str
    versions: Mapping[str, str]
    answer_match: float | None
    parts: Mapping[str, float | None]
    space: VectorSpace | None
    vector: NDArray[np.float16] | None
    created: str | None = None
    detail: float | None = None

    @property
    def stratum(self) -> tuple[str, str]:
        """Domain and difficulty."""
        return self.domain, self.difficulty


def read_candidate(data: bytes, weights: Mapping[str, float]) -> Candidate:
    """Take a candidate from the bytes of a scored sample, which were validated when they entered the pool."""
    sample = orjson.loads(data)
    return candidate_of(sample, content_hash(sample["instruction"], sample["response"]), weights)


def candidate_of(sample: Mapping[str, Any], content: str, weights: Mapping[str, float]) -> Candidate:
    """Take a candidate from a parsed sample whose content hash is known."""
    metadata = sample.get("metadata") or {}
    lineage = metadata.get("lineage") or {}
    assessment = metadata.get("advanced_assessment") or {}
    evaluations = metadata.get("evaluations") or {}
    created = metadata.get("creation_timestamp")
    space, vector = _vector(assessment.get("embedding"))
    return Candidate(
        id=sample["id"],
        content=content,
        domain=metadata.get("domain") or "general",
        difficulty=metadata.get("difficulty") or UNKNOWN_DIFFICULTY,
        instruction=sample["instruction"],
        response=sample["response"],
        language=metadata.get("language"),
        parent=lineage.get("parent"),
        source_ref=lineage.get("source_ref", ""),
        versions=lineage.get("versions") or {},
        answer_match=_number(assessment.get("answer_match")),
        parts=_parts(weights, evaluations, assessment),
        space=space,
        vector=vector,
        created=created if isinstance(created, str) else None,
        detail=_number(evaluations.get("detail")),
    )


def stratum_name(domain: str, difficulty: str | None) -> str:
    """Return a stratum as one word."""
    return f"{domain}/{difficulty or UNKNOWN_DIFFICULTY}"


def sample_stratum(sample: Sample) -> str:
    """Return the stratum of a sample as one word."""
    return stratum_name(sample.metadata.domain, sample.metadata.difficulty)


def _parts(
    weights: Mapping[str, float], evaluations: Mapping[str, Any], assessment: Mapping[str, Any]
) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in weights:
        if name in _ASSESSMENTS:
            found[name] = _number(assessment.get(_ASSESSMENTS[name]))
        elif name != MATCH_PART:
            found[name] = _number(evaluations.get(_EVALUATIONS.get(name, name)))
    return found


def _number(value: object) -> float | None:
    if type(value) is float and -math.inf < value < math.inf:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _vector(embedding: Mapping[str, Any] | None) -> tuple[VectorSpace | None, NDArray[np.float16] | None]:
    """Return the recorded vector, or nothing when it cannot be compared: unreadable, zero, not finite."""
    if not embedding:
        return None, None
    try:
        vector = np.frombuffer(base64.b64decode(embedding["data"], validate=True), dtype="<f2")
        space = _space(str(embedding["model"]), int(embedding["dimensions"]))
    except (binascii.Error, KeyError, TypeError, ValueError):
        return None, None
    wide = vector.astype(np.float32)
    # The squares of float16 neither overflow nor vanish in float32, so this is above 0 and finite iff the vector is.
    if len(vector) != space.dimensions or not 0.0 < float(wide @ wide) < math.inf:
        return None, None
    return space, vector


_space = lru_cache(maxsize=256)(VectorSpace)
