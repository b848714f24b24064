"""Wiring of the scorer."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limoflow.inference.endpoint import chat_client
from limoflow.inference.types import ScoringModels
from limoflow.plugins import load_operator, operators
from limoflow.settings import from_environment
from services.scorer.endpoints import Endpoints, MakeClient
from services.scorer.handler import Scorer
from services.scorer.learning import ROLE as REWARDS_ROLE
from services.scorer.learning import read_rewards
from services.scorer.score import GROUP, OWN, Score
from services.scorer.settings import ScorerSettings

__all__ = ["REWARDS_ROLE", "ScorerSettings", "layer", "read_rewards"]

REWARDS = Path(".limoflow/rewards")


def layer(
    models: ScoringModels,
    settings: ScorerSettings | None = None,
    chat: MakeClient | None = None,
    rewards: Path = REWARDS,
) -> Scorer:
    """Return the scorer with the scores that the settings name, or all that are installed.

    Parameters
    ----------
    models : ScoringModels
    settings : ScorerSettings, optional
    chat : callable, optional
        Makes the client of a chat endpoint; `await layer.close()` closes it.
    rewards : Path
        Folder of the records of trainings, for the learning potential.

    Raises
    ------
    UsageError
        When a named score is not installed.
    """
    names = (settings or from_environment(ScorerSettings)).scores or tuple(operators(GROUP, OWN))
    endpoints = Endpoints(chat or chat_client)
    offered = {"endpoints": endpoints, "rewards": rewards}
    return Scorer([_made(load_operator(GROUP, name, OWN), offered) for name in names], models, endpoints)


def _made(kind: Any, offered: Mapping[str, Any]) -> Score:
    asked = inspect.signature(kind).parameters
    score: Score = kind(**{name: value for name, value in offered.items() if name in asked})
    return score
