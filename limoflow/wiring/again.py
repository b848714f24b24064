"""Selecting again from what the topics hold: what-if, and the best set so far."""

from __future__ import annotations

from collections.abc import Sequence

from limoflow.errors import UsageError
from limoflow.spec_file import changed_spec
from limoflow.stream.types import LogReader
from schemas.headers import RUN, WINDOW, header_text
from schemas.release import Release
from schemas.run import Run
from schemas.topics import SCORED

CHANGEABLE = ("select.", "score.weights.", "score.combine", "seed")


def scored_windows(reader: LogReader, run_id: str) -> list[int]:
    """Return the windows of a run that have scored samples on the topics."""
    of_run = (record for record in reader.read([SCORED]) if header_text(record.headers, RUN) == run_id)
    return sorted({int(header_text(record.headers, WINDOW) or 0) for record in of_run})


def select_again(
    reader: LogReader, run: Run, window: int, settings: Sequence[str] = (), *, last: bool = True
) -> Release:
    """Return the release that the recorded scores give, with other settings where some are given.

    No model is called: only what selects may change (`select.`, `score.weights.`, `seed`).

    Raises
    ------
    UsageError
        When the window has no scored samples on the topics.
    RunSpecError
        When a setting is none of those.
    """
    from services.selector.again import INPUTS
    from services.selector.again import select_again as again

    changed = run.model_copy(update={"spec": changed_spec(run.spec, settings, CHANGEABLE)}) if settings else run
    windows = scored_windows(reader, run.run_id)
    if window not in windows:
        held = ", ".join(map(str, windows)) or "none"
        raise UsageError(
            f"run {run.run_id!r} has no scored samples of window {window} on the topics (windows there: {held}); "
            "retention may have deleted them"
        )
    return again(reader.read(list(INPUTS)), changed, window, last=last)
