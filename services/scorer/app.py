"""Wiring of the scorer."""

from __future__ import annotations

from limoflow.inference.types import ScoringModels
from limoflow.plugins import load_operator, operators
from services.scorer.handler import Scorer
from services.scorer.score import GROUP, OWN
from services.scorer.settings import ScorerSettings

__all__ = ["ScorerSettings", "layer"]


def layer(models: ScoringModels, settings: ScorerSettings | None = None) -> Scorer:
    """Return the scorer with the scores that the settings name, or all that are installed.

    Raises
    ------
    UsageError
        When a named score is not installed.
    """
    names = (settings or ScorerSettings()).scores or tuple(operators(GROUP, OWN))
    return Scorer([load_operator(GROUP, name, OWN)() for name in names], models)
