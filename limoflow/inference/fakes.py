"""Deterministic stand-ins for models and chat endpoints, for tests: same protocol, no weights, no network."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from limoflow.errors import LimoflowError
from limoflow.inference.chat_types import ChatAnswer, ChatMessage, Usage
from limoflow.inference.types import DEFAULT_LAYOUT, LABELS, AnswerLikelihood

DIMENSIONS = 384


@dataclass
class FakeModels:
    """Scoring models made of hashes: texts that share words have similar embeddings.

    Attributes
    ----------
    fail : callable, optional
        Given the text (the response for a likelihood), returns the error to raise, or None.
    seconds : float
        How long each call takes.
    calls : int
        Calls so far.
    """

    fail: Callable[[str], LimoflowError | None] = lambda _: None
    seconds: float = 0.0
    calls: int = field(default=0, init=False)
    closed: bool = field(default=False, init=False)

    async def embed(self, text: str) -> NDArray[np.float32]:
        """Return the hashed bag of words of `text`, float32, shape (384,), length 1."""
        await self._answer(text)
        return hashed_words(text)

    async def embed_many(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the embedding of each text."""
        return [await self.embed(text) for text in texts]

    async def likelihood(
        self,
        model: str,
        instruction: str,
        response: str,
        layout: str = DEFAULT_LAYOUT,  # noqa: ARG002 - the protocol's
    ) -> AnswerLikelihood:
        """Return losses in (0, 4), lower where the response shares words with the instruction; NaN for no words."""
        await self._answer(response)
        tokens = len(_words(response))
        if tokens == 0:
            return AnswerLikelihood(math.nan, math.nan, 0, 0, truncated=False, reason="the response has no tokens")
        direct = 2.0 + 2.0 * _unit(f"{model}\0{response}")
        overlap = float(hashed_words(instruction) @ hashed_words(response))
        conditioned = direct * (1.0 - 0.5 * max(0.0, overlap))
        return AnswerLikelihood(conditioned, direct, tokens, tokens, truncated=False)

    async def labels(self, model: str, prompt: str) -> tuple[float, ...]:
        """Return ln p of the labels, made of the hash of model, prompt and label; the other tokens take a tenth."""
        await self._answer(prompt)
        weights = [0.01 + _unit(f"{model}\0{prompt}\0{label}") for label in LABELS]
        return tuple(math.log(0.9 * weight / sum(weights)) for weight in weights)

    async def ready(self, model: str) -> None:  # noqa: ARG002 - the protocol's
        """Return, or raise what `fail` says of the text "ready"."""
        await self._answer("ready")

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    async def _answer(self, text: str) -> None:
        self.calls += 1
        await asyncio.sleep(self.seconds)
        error = self.fail(text)
        if error is not None:
            raise error


@dataclass
class FakeChat:
    """A chat endpoint that answers from a function.

    Attributes
    ----------
    answer : callable
        Given the messages, returns the text of the answer or the error to raise.
    seen : list
        The messages of every call.
    """

    answer: Callable[[Sequence[ChatMessage]], str | LimoflowError]
    first_logprobs: dict[str, float] = field(default_factory=dict)
    seen: list[tuple[ChatMessage, ...]] = field(default_factory=list, init=False)
    usage: Usage = field(default_factory=Usage, init=False)

    async def complete(self, messages: Sequence[ChatMessage]) -> ChatAnswer:
        """Return the answer; one token for each word."""
        self.seen.append(tuple(messages))
        answer = self.answer(messages)
        if isinstance(answer, LimoflowError):
            raise answer
        prompt = sum(len(message.content.split()) for message in messages)
        self.usage.add(prompt, len(answer.split()), 0.0)
        return ChatAnswer(answer, "stop", prompt, len(answer.split()), dict(self.first_logprobs))

    async def close(self) -> None:
        """Do nothing."""


def hashed_words(text: str) -> NDArray[np.float32]:
    """Return a unit vector that is the sum of one hashed direction per word (one per character where not ASCII)."""
    vector = np.zeros(DIMENSIONS, dtype=np.float64)
    for word in _words(text) or [""]:
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        vector[int.from_bytes(digest[:4], "big") % DIMENSIONS] += 1.0 if digest[4] & 1 else -1.0
    length = float(np.linalg.norm(vector))
    if length == 0.0:
        vector[0] = length = 1.0
    return (vector / length).astype(np.float32)


def _words(text: str) -> list[str]:
    words = text.lower().split()
    return [piece for word in words for piece in ([word] if word.isascii() else list(word))]


def _unit(text: str) -> float:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
