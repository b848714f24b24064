"""Follows a run until its last release is exported and trained on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from limoflow.errors import DependencyUnavailable
from limoflow.observe.progress import Progress
from limoflow.progress_of import Results, results_of, stage_progress
from limoflow.stream.types import Offsets, Transport
from schemas.run import Run
from schemas.topics import RAW

_POLL_S = 1.0
_PATIENCE_S = 120.0


def follow(
    transport: Transport,
    run: Run,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Results:
    """Show progress until the run is finished or refused, and return what it produced.

    Raises
    ------
    DependencyUnavailable
        When the broker does not answer for two minutes on end; the run itself goes on when it is back.
    """
    answered = clock()
    course = Course()
    with run_view(run, clock) as progress:
        while True:
            try:
                results = results_of(transport, run.run_id)
                if results.refused is not None or results.finished(run):
                    return results
                done, total, fields = course.progress(transport.offsets, results)
                told = {} if results.waiting is None else {"waiting": results.waiting}
                progress.update(done, total, **fields, **told)
                answered = clock()
            except DependencyUnavailable:
                if clock() - answered > _PATIENCE_S:
                    raise
            sleep(_POLL_S)


def run_view(run: Run, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Return a bar on a terminal, or a line every five seconds elsewhere."""
    return Progress(run.run_id, stream=sys.stderr, clock=clock, interval_s=0.5 if sys.stderr.isatty() else 5.0)


class Course:
    """How far the samples have come since it was first asked, all runs together.

    Topics keep what earlier runs sent, so what had passed before the first question is left out of both counts.
    """

    def __init__(self) -> None:
        self._passed_before: int | None = None
        self._done = 0

    def progress(self, offsets: Offsets, results: Results) -> tuple[int, int, dict[str, int]]:
        """Return samples that left the last stage or were refused, samples that entered, and the lag of each stage."""
        entered = _records(offsets, RAW)
        lags = {f"{stage.stage}_lag": stage.lag for stage in stage_progress(offsets)}
        passed = max(0, entered - sum(lags.values()))
        if self._passed_before is None:
            self._passed_before = passed
        # What entered and what waits are not of one moment: between them the difference may fall.
        self._done = max(self._done, passed - self._passed_before)
        fields = {**lags, "releases": len(results.releases), "exports": len(results.exports)}
        return self._done, max(self._done, entered - self._passed_before), fields


def _records(offsets: Offsets, topic: str) -> int:
    starts = offsets.starts(topic)
    return sum(end - starts.get(partition, 0) for partition, end in offsets.ends(topic).items())
