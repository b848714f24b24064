"""What a score plug-in is (entry-point group `limoflow.scores`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from limoflow.inference.types import ScoringModels
from schemas.run import Run
from schemas.sample import Sample

GROUP = "limoflow.scores"

OWN = {
    "complexity": "services.scorer.complexity:Complexity",
    "depth": "services.scorer.depth:Depth",
    "embedding": "services.scorer.embedding:EmbeddingScore",
    "ifd": "services.scorer.ifd:Ifd",
    "quality": "services.scorer.quality:Quality",
    "safety": "services.scorer.safety:Safety",
}


@dataclass(frozen=True, slots=True)
class Figures:
    """What one score says of one sample.

    Attributes
    ----------
    evaluations : mapping
        Fields of `metadata.evaluations`, each in [0, 1] or None.
    assessment : mapping
        Fields of `metadata.advanced_assessment`.
    reasons : mapping
        For figures that are None, why.
    """

    evaluations: Mapping[str, float | None] = field(default_factory=dict)
    assessment: Mapping[str, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


class Score(Protocol):
    """One score, made without arguments. It knows no other sample: window statistics are the selector's."""

    @property
    def name(self) -> str:
        """The name of the plug-in."""
        ...

    @property
    def version(self) -> str:
        """The version of its behaviour."""
        ...

    async def compute(self, sample: Sample, run: Run, models: ScoringModels) -> Figures:
        """Return the figures; none when the run turned the score off.

        Raises
        ------
        DependencyUnavailable
            When a model server is out; the sample is tried again.
        """
        ...
