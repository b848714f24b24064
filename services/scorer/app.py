"""Wiring of the scorer."""

from __future__ import annotations

import inspect
from typing import Any

from limoflow.inference.endpoint import chat_client
from limoflow.inference.types import ScoringModels
from limoflow.plugins import load_operator, operators
from services.scorer.endpoints import Endpoints, MakeClient
from services.scorer.handler import Scorer
from services.scorer.score import GROUP, OWN, Score
from services.scorer.settings import ScorerSettings

__all__ = ["ScorerSettings", "layer"]


def layer(models: ScoringModels, settings: ScorerSettings | None = None, chat: MakeClient | None = None) -> Scorer:
    """Return the scorer with the scores that the settings name, or all that are installed.

    Parameters
    ----------
    models : ScoringModels
    settings : ScorerSettings, optional
    chat : callable, optional
        Makes the client of a chat endpoint; `await layer.close()` closes it.

    Raises
    ------
    UsageError
        When a named score is not installed.
    """
    names = (settings or ScorerSettings()).scores or tuple(operators(GROUP, OWN))
    endpoints = Endpoints(chat or chat_client)
    return Scorer([_made(load_operator(GROUP, name, OWN), endpoints) for name in names], models, endpoints)


def _made(kind: Any, endpoints: Endpoints) -> Score:
    score: Score = kind(endpoints) if "endpoints" in inspect.signature(kind).parameters else kind()
    return score
