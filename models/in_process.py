"""The scoring models inside this process, for `--local`: no server, the same forward passes as in Triton."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from limoflow.errors import LimoflowError, ModelRequestError
from limoflow.inference.types import DEFAULT_LAYOUT, AnswerLikelihood
from models.embedding import EmbeddingModel
from models.likelihood import LikelihoodModel

MOST_TOGETHER = 64

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class MicroBatches(Generic[Question, Answer]):
    """Answers questions of concurrent callers together: what waits while one batch is computed is the next batch.

    Parameters
    ----------
    compute : callable
        Answers a list of questions, in their order; runs on `executor`.
    executor : ThreadPoolExecutor
        Where `compute` runs.
    most : int
        Most questions of one batch.
    """

    def __init__(
        self,
        compute: Callable[[list[Question]], Sequence[Answer]],
        executor: ThreadPoolExecutor,
        most: int = MOST_TOGETHER,
    ) -> None:
        self._compute = compute
        self._executor = executor
        self._most = most
        self._waiting: list[tuple[Question, asyncio.Future[Answer]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Answer:
        """Return the answer to `question`; raise `ModelRequestError` if this one cannot be answered."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        # One turn of the loop, so that callers that start together stand in the first batch together.
        await asyncio.sleep(0)
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            await self._answer(batch)

    async def _answer(self, batch: list[tuple[Question, asyncio.Future[Answer]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._executor, self._compute, [question for question, _ in batch])
        except Exception as error:  # noqa: BLE001 - handed to the callers
            await self._answer_alone(batch, error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _answer_alone(self, batch: list[tuple[Question, asyncio.Future[Answer]]], error: Exception) -> None:
        """Find the question that spoils the batch, so that its neighbours still get their answers."""
        if len(batch) > 1:
            for one in batch:
                await self._answer([one])
            return
        future = batch[0][1]
        if not future.done():
            known = isinstance(error, LimoflowError)
            future.set_exception(error if known else ModelRequestError(f"the model cannot answer this text: {error}"))


class InProcessModels:
    """Scoring models inside this process, causal ones on every core.

    Implements `limoflow.inference.types.ScoringModels`.

    Parameters
    ----------
    path_of : callable
        Returns the folder of the causal language model of a name (see `models.catalog.ModelCatalog.path`); raises
        `UsageError` for an unknown name.
    embedder : Path
        Folder of the embedder (see `models.embedding.embedder_path`).
    dtype : str
        Precision of the embedder.
    """

    def __init__(self, path_of: Callable[[str], Path], embedder: Path, dtype: str = "float32") -> None:
        self._path_of = path_of
        self._embedder = embedder
        self._dtype = dtype
        # One thread in all: its number of threads is a setting of the thread, and sums depend on it.
        self._executor = ThreadPoolExecutor(1, "models", initializer=torch.set_num_threads, initargs=(1,))
        self._embedding: EmbeddingModel | None = None
        self._causal: dict[str, LikelihoodModel] = {}
        self._embeddings = MicroBatches(self._embed, self._executor)
        self._likelihoods: dict[str, MicroBatches[tuple[str, str, str], AnswerLikelihood]] = {}
        self._labels: dict[str, MicroBatches[str, tuple[float, ...]]] = {}

    async def embed(self, text: str) -> NDArray[np.float32]:
        """Return the L2-normalised embedding of `text`, shape (dimensions,)."""
        return await self._embeddings.ask(text)

    async def embed_many(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the embedding of each text, in their order."""
        return list(await asyncio.gather(*(self._embeddings.ask(text) for text in texts)))

    async def likelihood(
        self, model: str, instruction: str, response: str, layout: str = DEFAULT_LAYOUT
    ) -> AnswerLikelihood:
        """Return the likelihood of `response` given `instruction` under the causal LM named `model`."""
        if model not in self._likelihoods:
            self._path_of(model)
            self._likelihoods[model] = MicroBatches(lambda asked: self._score(model, asked), self._executor)
        return await self._likelihoods[model].ask((instruction, response, layout))

    async def labels(self, model: str, prompt: str) -> tuple[float, ...]:
        """Return ln p of each label as the token after `prompt` under the causal LM named `model`."""
        if model not in self._labels:
            self._path_of(model)
            self._labels[model] = MicroBatches(lambda prompts: self._loaded(model).labels(prompts), self._executor)
        return await self._labels[model].ask(prompt)

    async def ready(self, model: str) -> None:
        """Return when one inference on the embedder and on `model` has succeeded; raise otherwise."""
        await self.embed("ready")
        await self.likelihood(model, "ready", "ready")

    async def close(self) -> None:
        """Wait for the batch under way and let the models go."""
        await asyncio.get_running_loop().run_in_executor(None, self._executor.shutdown)
        self._embedding = None
        self._causal.clear()

    def _embed(self, texts: list[str]) -> Sequence[NDArray[np.float32]]:
        if self._embedding is None:
            self._embedding = EmbeddingModel(self._embedder, self._dtype)
        return list(self._embedding.embed(texts))

    def _score(self, model: str, asked: list[tuple[str, str, str]]) -> Sequence[AnswerLikelihood]:
        pairs = [(instruction, response) for instruction, response, _ in asked]
        return self._loaded(model).score(pairs, [layout for *_, layout in asked])

    def _loaded(self, model: str) -> LikelihoodModel:
        if model not in self._causal:
            self._causal[model] = LikelihoodModel(self._path_of(model), workers=len(os.sched_getaffinity(0)))
        return self._causal[model]
