"""Wiring of the generator."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from limoflow.inference.chat_types import Chat
from limoflow.inference.endpoint import chat_client
from limoflow.plugins import operators
from limoflow.settings import from_environment
from schemas.run import Chat as Endpoint
from services.generator.handler import Generator
from services.generator.settings import GeneratorSettings
from services.generator.strategies import GROUP, OWN


def layer(
    settings: GeneratorSettings | None = None,
    chat: Callable[[Endpoint], Chat] | None = None,
    on_refusal: Callable[[str, str], None] | None = None,
) -> Generator:
    """Return the generator with every strategy that is installed.

    Parameters
    ----------
    chat : callable, optional
        Makes the client of an endpoint, which `self_instruct` asks; `await layer.close()` closes it.
    on_refusal : callable, optional
        Called with strategy and reason for every child that was not made.
    """
    offered: dict[str, Any] = {"settings": settings or from_environment(GeneratorSettings), "chat": chat or chat_client}
    strategies = {}
    for name, point in operators(GROUP, OWN).items():
        kind = point.load()
        wanted = inspect.signature(kind).parameters
        strategies[name] = kind(**{key: value for key, value in offered.items() if key in wanted})
    return Generator(strategies, on_refusal)
