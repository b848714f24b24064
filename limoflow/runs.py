"""The runs that a service knows of, learnt from the compacted topic `runs`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from pydantic import ValidationError

from limoflow.errors import PoisonError
from limoflow.stream.types import Record
from limoflow.versions import check_version
from schemas.run import Run

_log = structlog.stdlib.get_logger(__name__)


class RunRegistry:
    """Runs by id. Records arrive from any thread; handlers wait in their own event loop.

    Parameters
    ----------
    patience_s : float
        How long a sample waits for a run that nobody has announced, before it becomes a dead letter (replayable).
    """

    def __init__(self, patience_s: float = 300.0) -> None:
        self._runs: dict[str, Run] = {}
        self._patience_s = patience_s
        self._waiting: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}

    def observe(self, records: Sequence[Record]) -> None:
        """Take note of records of the topic `runs`; the newest of a run stands."""
        for record in records:
            if record.value is None:
                continue
            try:
                check_version(record)
                run = Run.model_validate_json(record.value)
            except (ValidationError, PoisonError) as error:
                # The ingestor dead-letters it; a service that ended here would end again at every start.
                _log.warning("a run that cannot be read is passed over", offset=record.offset, error=str(error))
                continue
            self._runs[run.run_id] = run
            for loop, known in self._waiting.pop(run.run_id, []):
                loop.call_soon_threadsafe(known.set)

    def get(self, run_id: str) -> Run | None:
        """Return the run, or None while it is unknown."""
        return self._runs.get(run_id)

    def all(self) -> list[Run]:
        """Return every known run, by id."""
        return [self._runs[run_id] for run_id in sorted(self._runs)]

    async def wait(self, run_id: str) -> Run:
        """Return the run as soon as it is known; a sample is never guessed at.

        Raises
        ------
        PoisonError
            When nobody announces the run within `patience_s`.
        """
        while (run := self._runs.get(run_id)) is None:
            known = asyncio.Event()
            self._waiting.setdefault(run_id, []).append((asyncio.get_running_loop(), known))
            if run_id in self._runs:
                continue
            try:
                await asyncio.wait_for(known.wait(), self._patience_s)
            except TimeoutError:
                raise PoisonError(
                    f"run {run_id!r} was not announced on topic 'runs' within {self._patience_s:g} s; "
                    "submit the run, then replay this dead letter"
                ) from None
        return run
