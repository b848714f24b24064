"""The check: a sample that holds an item of a named benchmark, or asks it in other words, is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from limoflow.errors import ModelRequestError, UsageError
from limoflow.inference.chat_types import Chat
from limoflow.inference.types import ScoringModels
from schemas.run import Chat as Endpoint
from schemas.run import Neighbours as Wanted
from schemas.run import Run
from schemas.sample import Sample
from services.verifier.checks import PASS, Cost, Finding, Options
from services.verifier.contamination.index import Index, Match, open_index
from services.verifier.contamination.items import benchmark_files
from services.verifier.contamination.neighbours import Neighbour, Neighbours, open_neighbours, rephrased
from services.verifier.settings import VerifierSettings

Opened = TypeVar("Opened")


class Contamination:
    """Runs of 13 words or 20 CJK characters, whole questions, short questions inside other texts, near embeddings.

    Nothing runs unless the run has `verify.decontaminate`, and no model is asked unless it has `neighbours`. Benchmarks
    that cannot be read give `unknown`, for every sample (G9): nothing passes that was not compared.

    Parameters
    ----------
    models : callable, optional
        Returns the models that embed.
    chat : callable, optional
        Makes the client of the endpoint that judges neighbours.
    """

    name = "contamination"
    version = "2"
    cost = Cost.INDEX
    domains: frozenset[str] | None = None

    def __init__(
        self,
        settings: VerifierSettings,
        models: Callable[[], ScoringModels] | None = None,
        chat: Callable[[Endpoint], Chat] | None = None,
    ) -> None:
        self._cache = settings.index_folder
        self._models = models
        self._chat = chat
        self._clients: dict[str, Chat] = {}
        self._opened: dict[tuple[str, ...], asyncio.Task[Any]] = {}

    def options_of(self, run: Run) -> Mapping[str, Any] | None:
        """Return what the run says of decontamination, None where it asks for none."""
        wanted = run.spec.verify.decontaminate
        if wanted is None:
            return None
        chosen = run.spec.verify.checks.get(self.name)
        named = {
            "benchmarks": wanted.benchmarks,
            "least": wanted.minimum_grams,
            "folder": run.folder or ".",
            "neighbours": wanted.neighbours,
            "endpoint": run.spec.verify.chat,
        }
        return {**chosen, **named} if isinstance(chosen, dict) else named

    def applies(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's
        """Every sample."""
        return True

    async def check(self, sample: Sample, options: Options) -> Finding | None:
        """Return the first match of instruction, response and earlier turns; None where no benchmark is named.

        Raises
        ------
        DependencyUnavailable
            When the embedder or the judge is out: the sample waits.
        """
        if not options.get("benchmarks"):
            return None
        place = (str(options["folder"]), *options["benchmarks"])
        try:
            index = await self._once(("index", *place), lambda: asyncio.to_thread(self._index, place))
            found = _by_words(index, sample, int(options["least"]))
            wanted: Wanted | None = options.get("neighbours")
            if found is None and wanted is not None:
                found = await self._by_meaning(sample, place, wanted, options.get("endpoint"))
        except (UsageError, OSError) as error:
            return Finding("unknown", "benchmarks_unreadable", evidence=str(error))
        return found or PASS

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    async def _by_meaning(
        self, sample: Sample, place: tuple[str, ...], wanted: Wanted, endpoint: Endpoint | None
    ) -> Finding | None:
        if self._models is None:
            return Finding("unknown", "no_embedder")
        models = self._models()
        try:
            known: Neighbours = await self._once(
                ("neighbours", *place), lambda: open_neighbours(_files(place), self._cache, models)
            )
            vector = await models.embed(sample.instruction)
        except ModelRequestError as error:
            return Finding("unknown", "not_embedded", evidence=str(error))
        if not np.isfinite(vector).all():
            return Finding("unknown", "not_embedded")
        near = known.nearest(vector, wanted.least_cosine, wanted.most)
        return await self._verdict(sample, near, wanted, endpoint) if near else None

    async def _verdict(
        self, sample: Sample, near: list[Neighbour], wanted: Wanted, endpoint: Endpoint | None
    ) -> Finding | None:
        if not wanted.judge:
            return Finding("fail", "neighbour", near[0].cosine, wanted.least_cosine, near[0].place)
        if endpoint is None or self._chat is None:
            return Finding("unknown", "no_judge", near[0].cosine, wanted.least_cosine, near[0].place)
        return await _judged(sample.instruction, near, self._client(endpoint), wanted.least_cosine)

    async def _once(self, key: tuple[str, ...], make: Callable[[], Coroutine[Any, Any, Opened]]) -> Opened:
        # One task for all samples that wait; a failed one is forgotten, so that what was repaired is found.
        if key not in self._opened:
            self._opened[key] = asyncio.ensure_future(make())
        task: asyncio.Task[Opened] = self._opened[key]
        try:
            return await asyncio.shield(task)
        except Exception:
            if self._opened.get(key) is task:
                del self._opened[key]
            raise

    def _index(self, place: tuple[str, ...]) -> Index:
        return open_index(_files(place), self._cache)

    def _client(self, endpoint: Endpoint) -> Chat:
        key = endpoint.model_dump_json()
        if key not in self._clients:
            assert self._chat is not None  # noqa: S101 - the caller looked
            self._clients[key] = self._chat(endpoint)
        return self._clients[key]


def _files(place: tuple[str, ...]) -> list[Path]:
    folder, *benchmarks = place
    return benchmark_files(benchmarks, Path(folder))


def _by_words(index: Index, sample: Sample, least: int) -> Finding | None:
    earlier = [message.content for message in sample.messages or ()]
    for text in dict.fromkeys((sample.instruction, sample.response, *earlier)):
        if match := index.match(text, least):
            return _finding(match, least)
    return None


def _finding(match: Match, least: int) -> Finding:
    return Finding("fail", match.kind, max(1, match.grams), least - 1, match.place)


async def _judged(text: str, near: list[Neighbour], chat: Chat, bound: float) -> Finding | None:
    votes = await asyncio.gather(*(rephrased(text, neighbour, chat) for neighbour in near))
    for verdict, said in (("fail", True), ("unknown", None)):
        for neighbour, vote in zip(near, votes, strict=True):
            if vote is said:
                reason = "rephrased" if said else "unreadable_judge"
                return Finding(verdict, reason, neighbour.cosine, bound, neighbour.place)  # type: ignore[arg-type]
    return None
