"""The check: a sample that holds an item of a named benchmark is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limoflow.errors import UsageError
from schemas.run import Run
from schemas.sample import Sample
from services.verifier.checks import PASS, Cost, Finding, Options
from services.verifier.contamination.index import Index, Match, open_index
from services.verifier.contamination.items import benchmark_files
from services.verifier.settings import VerifierSettings


class Contamination:
    """Runs of 13 words or 20 CJK characters, whole questions, and short questions inside other texts.

    Nothing runs unless the run has `verify.decontaminate`. Benchmarks that cannot be read give `unknown`, for every
    sample (G9): nothing passes that was not compared.
    """

    name = "contamination"
    version = "1"
    cost = Cost.INDEX
    domains: frozenset[str] | None = None

    def __init__(self, settings: VerifierSettings) -> None:
        self._cache = settings.index_folder
        self._opened: dict[tuple[str, ...], asyncio.Task[Index]] = {}

    def options_of(self, run: Run) -> Mapping[str, Any] | None:
        """Return what the run says of decontamination, None where it asks for none."""
        wanted = run.spec.verify.decontaminate
        if wanted is None:
            return None
        chosen = run.spec.verify.checks.get(self.name)
        named = {"benchmarks": wanted.benchmarks, "least": wanted.minimum_grams, "folder": run.folder or "."}
        return {**chosen, **named} if isinstance(chosen, dict) else named

    def applies(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's
        """Every sample."""
        return True

    async def check(self, sample: Sample, options: Options) -> Finding | None:
        """Return the first match of instruction, response and earlier turns; None where no benchmark is named."""
        if not options.get("benchmarks"):
            return None
        try:
            index = await self._index(tuple(options["benchmarks"]), str(options["folder"]))
        except (UsageError, OSError) as error:
            return Finding("unknown", "benchmarks_unreadable", evidence=str(error)[:200])
        earlier = [message.content for message in sample.messages or ()]
        for text in (sample.instruction, sample.response, *earlier):
            if match := index.match(text, int(options["least"])):
                return _finding(match, int(options["least"]))
        return PASS

    async def _index(self, benchmarks: tuple[str, ...], folder: str) -> Index:
        # One task for all samples that wait; a failed one is forgotten, so that a repaired file is found.
        key = (folder, *benchmarks)
        if key not in self._opened:
            self._opened[key] = asyncio.ensure_future(asyncio.to_thread(self._open, benchmarks, Path(folder)))
        try:
            return await asyncio.shield(self._opened[key])
        except (UsageError, OSError):
            self._opened.pop(key, None)
            raise

    def _open(self, benchmarks: tuple[str, ...], folder: Path) -> Index:
        return open_index(benchmark_files(benchmarks, folder), self._cache)


def _finding(match: Match, least: int) -> Finding:
    return Finding("fail", match.kind, max(1, match.grams), least - 1, match.place)
