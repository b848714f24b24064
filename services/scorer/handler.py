"""The scorer as a layer: every score that is installed, in one pass over a sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from limoflow.inference.types import ScoringModels
from limoflow.layer import LayerResult
from schemas.run import Run
from schemas.sample import AdvancedAssessment, Evaluations, Sample
from services.scorer.difficulty import difficulty_of
from services.scorer.endpoints import Endpoints
from services.scorer.score import Score
from services.scorer.shared import SharedPass


class Scorer:
    """A layer that adds `metadata.evaluations`, `metadata.advanced_assessment` and a missing difficulty.

    It refuses nothing. A figure that one request could not give is None, with the reason under
    `advanced_assessment.reasons`; when a model server is out, the sample waits.
    """

    name = "scorer"
    version = "2"

    def __init__(self, scores: Sequence[Score], models: ScoringModels, endpoints: Endpoints) -> None:
        self._scores = sorted(scores, key=lambda score: score.name)
        self._models = models
        self._endpoints = endpoints

    async def process(self, sample: Sample, run: Run) -> LayerResult:
        """Score one sample."""
        evaluations: dict[str, float | None] = {}
        assessment: dict[str, Any] = {}
        reasons: dict[str, str] = {}
        models = SharedPass(self._models)
        for score in self._scores:
            figures = await score.compute(sample, run, models)
            evaluations.update({name: _unit(value) for name, value in figures.evaluations.items()})
            assessment.update(figures.assessment)
            reasons.update(figures.reasons)
        if reasons:
            assessment["reasons"] = reasons
        return LayerResult(passed=(_extended(sample, evaluations, assessment),))

    async def close(self) -> None:
        """Close the clients of chat endpoints; the models belong to whoever made them."""
        await self._endpoints.close()


def _extended(sample: Sample, evaluations: Mapping[str, float | None], assessment: Mapping[str, Any]) -> Sample:
    metadata = sample.metadata
    parts: dict[str, Any] = {
        "evaluations": (metadata.evaluations or Evaluations()).model_copy(update=dict(evaluations)),
        "advanced_assessment": (metadata.advanced_assessment or AdvancedAssessment()).model_copy(
            update=dict(assessment)
        ),
    }
    if metadata.difficulty is None:
        parts["difficulty"] = difficulty_of(sample.instruction, sample.response)
    return sample.extended(**parts)


def _unit(value: float | None) -> float | None:
    """Return a figure within [0, 1], or None for what is no number."""
    if value is None or not math.isfinite(value):
        return None
    return min(1.0, max(0.0, value))
