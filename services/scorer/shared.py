"""Models that answer a question about one sample once, however many scores ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from limoflow.inference.types import DEFAULT_LAYOUT, AnswerLikelihood, ScoringModels

Answer = TypeVar("Answer")


class SharedPass:
    """Scoring models for one sample; implements `ScoringModels`. A failure is remembered like an answer.

    Parameters
    ----------
    models : ScoringModels
        Who answers.
    """

    def __init__(self, models: ScoringModels) -> None:
        self._models = models
        self._asked: dict[Hashable, asyncio.Future[Any]] = {}

    async def embed(self, text: str) -> NDArray[np.float32]:
        """Return the embedding of `text`."""
        return await self._once(("embed", text), lambda: self._models.embed(text))

    async def embed_many(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the embedding of each text."""
        return await self._once(("embed_many", *texts), lambda: self._models.embed_many(texts))

    async def likelihood(
        self, model: str, instruction: str, response: str, layout: str = DEFAULT_LAYOUT
    ) -> AnswerLikelihood:
        """Return the likelihood of `response`."""
        key = ("likelihood", model, instruction, response, layout)
        return await self._once(key, lambda: self._models.likelihood(model, instruction, response, layout))

    async def labels(self, model: str, prompt: str) -> tuple[float, ...]:
        """Return ln p of the labels after `prompt`."""
        return await self._once(("labels", model, prompt), lambda: self._models.labels(model, prompt))

    async def ready(self, model: str) -> None:
        """Pass on."""
        await self._models.ready(model)

    async def close(self) -> None:
        """Release nothing: the models belong to whoever made them."""

    async def _once(self, key: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(ask())
        answer: Answer = await self._asked[key]
        return answer
