"""What a score plug-in is (entry-point group `limoflow.scores`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, Protocol

from limoflow.inference.types import ScoringModels
from schemas.run import Run
from schemas.sample import Sample

GROUP = "limoflow.scores"


class Cost(IntEnum):
    """What one sample costs, so that a user knows what a score asks for."""

    TEXT = 10
    EMBEDDING = 40
    MODEL = 80
    CHAT = 100


@dataclass(frozen=True, slots=True)
class About:
    """What a score means.

    Attributes
    ----------
    unit : str
        Of the raw figure.
    direction : {"more", "less", "none"}
        Of the raw figure: whether more of it is better, or less; `none` where it depends on the use.
    cost : Cost
    paper : str
        Where it comes from; `own` for a definition of limoflow's.
    mapping : str
        From the raw figure to [0, 1]. All are fixed functions of one sample; percentiles are taken when the window
        closes, with `score.combine: rank`.
    """

    unit: str
    direction: Literal["more", "less", "none"]
    cost: Cost
    paper: str
    mapping: str = "is in [0, 1]"


OWN = {
    "complexity": "services.scorer.complexity:Complexity",
    "depth": "services.scorer.depth:Depth",
    "embedding": "services.scorer.embedding:EmbeddingScore",
    "fluency": "services.scorer.likeliness:Fluency",
    "ifd": "services.scorer.ifd:Ifd",
    "learning_potential": "services.scorer.learning:LearningPotential",
    "judges": "services.scorer.judges:Judges",
    "lexical": "services.scorer.lexical:Lexical",
    "pass_rate": "services.scorer.pass_rate:PassRateScore",
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
    """One score. It knows no other sample: window statistics are the selector's.

    Its constructor takes nothing, or of these by name: `endpoints` (`services.scorer.endpoints.Endpoints`), `rewards`
    (the folder of the records of trainings).
    """

    @property
    def name(self) -> str:
        """The name of the plug-in."""
        ...

    @property
    def version(self) -> str:
        """The version of its behaviour."""
        ...

    @property
    def about(self) -> About:
        """What its figures mean."""
        ...

    async def compute(self, sample: Sample, run: Run, models: ScoringModels) -> Figures:
        """Return the figures; none when the run turned the score off.

        Raises
        ------
        DependencyUnavailable
            When a model server or a chat endpoint is out; the sample is tried again.
        """
        ...
