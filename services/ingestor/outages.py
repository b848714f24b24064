"""Runs that rest because a source of theirs is out, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from limoflow.stream.outage_log import OutageLog
from limoflow.stream.retry import RetryPolicy

SOURCE_OUT = "SourceOut"
_PAUSES = RetryPolicy(outage_backoff_s=1.0, outage_cap_s=60.0)


class _Rest(NamedTuple):
    since: float
    pause: float
    waits: int


class Outages:
    """Keeps runs whose sources are out from being tried too often, and others from waiting for them.

    Parameters
    ----------
    clock : callable
        Seconds.
    on_retry : callable, optional
        Called with the class of the error each time that a source is to be tried again, for metrics.
    """

    def __init__(self, clock: Callable[[], float], on_retry: Callable[[str], None] | None) -> None:
        self._clock = clock
        self._on_retry = on_retry
        self._log = OutageLog(clock)
        self._rests: dict[str, _Rest] = {}

    def begin(self, run_id: str, error: Exception) -> None:
        """Have a run rest, longer each time until it is `over`: 1 s, 2 s, ... 60 s."""
        waits = self._rests[run_id].waits + 1 if run_id in self._rests else 0
        self._rests[run_id] = _Rest(self._clock(), _PAUSES.outage_pause(waits), waits)
        self.tell(run_id, error)

    def tell(self, run_id: str, error: Exception) -> None:
        """Log and count that a source of a run could not be listed or read."""
        self._log.tell(f"run {run_id}", error, run_id=run_id)
        if self._on_retry is not None:
            self._on_retry(SOURCE_OUT)

    def rests(self, run_id: str) -> bool:
        """Whether it is too early to try the sources of a run again."""
        rest = self._rests.get(run_id)
        return rest is not None and 0 <= self._clock() - rest.since < rest.pause

    def over(self, run_id: str) -> None:
        """Take note that the sources of a run answer, or are of no interest any more."""
        self._rests.pop(run_id, None)
