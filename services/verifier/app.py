"""Wiring of the verifier."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from limoflow.inference.chat_types import Chat
from limoflow.inference.endpoint import chat_client
from limoflow.inference.types import ScoringModels
from limoflow.plugins import operators
from limoflow.settings import from_environment
from schemas.run import Chat as Endpoint
from services.verifier.checks import GROUP, OWN
from services.verifier.handler import Verifier
from services.verifier.judge.canaries import OnCanary
from services.verifier.settings import VerifierSettings


def layer(
    settings: VerifierSettings | None = None,
    chat: Callable[[Endpoint], Chat] | None = None,
    models: Callable[[], ScoringModels] | None = None,
    on_canary: OnCanary | None = None,
) -> Verifier:
    """Return the verifier with every check that is installed; `await layer.close()` ends processes and connections.

    Parameters
    ----------
    chat : callable, optional
        Makes the client of an endpoint, for checks that ask a model.
    models : callable, optional
        Returns the models that embed, called when a check first needs them.
    on_canary : callable, optional
        Called with the model, whether it answered an item of known verdict rightly and whether its votes count now.
    """
    offered: dict[str, Any] = {
        "settings": settings or from_environment(VerifierSettings),
        "chat": chat or chat_client,
        "models": models,
        "on_canary": on_canary,
    }
    checks = []
    for point in operators(GROUP, OWN).values():
        kind = point.load()
        wanted = inspect.signature(kind).parameters
        checks.append(kind(**{key: value for key, value in offered.items() if key in wanted}))
    return Verifier(checks)
