"""Scoring models behind a circuit breaker, each request measured."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from limoflow.inference.breaker import CircuitBreaker
from limoflow.inference.types import DEFAULT_LAYOUT, AnswerLikelihood, ScoringModels

Answer = TypeVar("Answer")


class ModelObserver(Protocol):
    """Hears of requests to model servers and of the breaker before them."""

    def model_request(self, model: str, seconds: float, error_class: str | None = None) -> None:
        """Hear of one request."""
        ...

    def breaker(self, dependency: str, state: Literal["closed", "half_open", "open"]) -> None:
        """Hear of the breaker's state."""
        ...


class GuardedModels:
    """Scoring models that are left alone while they fail; implements `ScoringModels`.

    Parameters
    ----------
    models : ScoringModels
    breaker : CircuitBreaker
    name : str
        The dependency's name in metrics.
    observer : ModelObserver
    """

    def __init__(self, models: ScoringModels, breaker: CircuitBreaker, name: str, observer: ModelObserver) -> None:
        self._models = models
        self._breaker = breaker
        self._name = name
        self._observer = observer

    async def embed(self, text: str) -> NDArray[np.float32]:
        """Return the L2-normalised embedding of `text`, shape (dimensions,)."""
        return await self._guarded("embedder", lambda: self._models.embed(text))

    async def embed_many(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the embedding of each text, in their order."""
        return await self._guarded("embedder", lambda: self._models.embed_many(texts))

    async def likelihood(
        self, model: str, instruction: str, response: str, layout: str = DEFAULT_LAYOUT
    ) -> AnswerLikelihood:
        """Return the likelihood of `response` given `instruction` under the causal LM named `model`."""
        return await self._guarded("ifd", lambda: self._models.likelihood(model, instruction, response, layout))

    async def labels(self, model: str, prompt: str) -> tuple[float, ...]:
        """Return ln p of each label as the token after `prompt` under the causal LM named `model`."""
        return await self._guarded("ifd", lambda: self._models.labels(model, prompt))

    async def ready(self, model: str) -> None:
        """Return when one real inference on the embedder and on `model` has succeeded; raise otherwise."""
        await self._models.ready(model)

    async def close(self) -> None:
        """Close the models."""
        await self._models.close()

    async def _guarded(self, model: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        await self._breaker.wait_closed()
        started, failure = time.perf_counter(), None
        try:
            return await self._breaker.call(ask)
        except Exception as error:
            failure = type(error).__name__
            raise
        finally:
            self._observer.model_request(model, time.perf_counter() - started, failure)
            self._observer.breaker(self._name, self._breaker.state.value)
