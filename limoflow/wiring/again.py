"""Selecting again from what the topics hold: what-if, and the best set so far."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limoflow.errors import RunSpecError, UsageError
from limoflow.spec_file import changed_spec
from limoflow.stream.types import LogReader
from limoflow.wiring.plan import plan_indexes, plan_selection
from schemas.headers import RUN, WINDOW, header_text
from schemas.release import Release
from schemas.run import Run, Select
from schemas.topics import SCORED, WINDOWS
from schemas.window import WindowEnd

CHANGEABLE = (
    "select.",
    "score.weights",
    "score.weights.",
    "score.combine",
    "score.thresholds",
    "score.thresholds.",
    "seed",
)


def scored_windows(reader: LogReader, run_id: str) -> list[int]:
    """Return the windows of a run that have scored samples on the topics."""
    of_run = (record for record in reader.read([SCORED]) if header_text(record.headers, RUN) == run_id)
    return sorted({int(header_text(record.headers, WINDOW) or 0) for record in of_run})


def select_again(
    reader: LogReader, run: Run, window: int, settings: Sequence[str] = (), *, last: bool | None = None
) -> Release:
    """Return the release that the recorded scores give, with other settings where some are given.

    No model is called: only what selects may change (`select.`, `score.weights`, `score.combine`, `score.thresholds`,
    `seed`).

    Parameters
    ----------
    last : bool, optional
        Whether no further window will come; by default what the ingestor said of the window, true where it has not
        ended.

    Raises
    ------
    UsageError
        When the window has no scored samples on the topics.
    RunSpecError
        When a setting is none of those, or what it asks for does not hold.
    """
    from services.selector.again import INPUTS
    from services.selector.again import select_again as again

    changed = changed_run(run, settings) if settings else run
    windows = scored_windows(reader, run.run_id)
    if window not in windows:
        held = ", ".join(map(str, windows)) or "none"
        raise UsageError(
            f"run {run.run_id!r} has no scored samples of window {window} on the topics (windows there: {held}); "
            "retention may have deleted them"
        )
    if last is None:
        last = _was_last(reader, run.run_id, window)
    return again(reader.read(list(INPUTS)), changed, window, last=last)


def changed_run(run: Run, settings: Sequence[str]) -> Run:
    """Return a run as it would be with other settings, checked and planned like one that is submitted.

    Raises
    ------
    RunSpecError
        When a setting may not be changed, is unknown, or asks for what is not there.
    """
    spec, folder = changed_spec(run.spec, settings, CHANGEABLE), Path(run.folder or ".")
    before, after = run.spec.select, spec.select
    if after.window != before.window:
        raise RunSpecError("select.window: windows are cut where data enters; submit a run with another window")
    # What did not change was read when the run was submitted: its files may have changed since, or be elsewhere.
    read = {
        "mixing": None if after.mixing == before.mixing else after.mixing,
        "novelty": None if _same_index(before, after) else after.novelty,
    }
    planned = plan_selection(spec.model_copy(update={"select": after.model_copy(update=read)}), folder)
    kept = {"mixing": after.mixing, "novelty": after.novelty}
    models = run.models | plan_indexes(planned, folder)
    spec = planned.model_copy(update={"select": planned.select.model_copy(update=kept)})
    return run.model_copy(update={"spec": spec, "models": models})


def _same_index(before: Select, after: Select) -> bool:
    known = [(it.novelty.index, it.novelty.version) if it.novelty else None for it in (before, after)]
    return known[0] == known[1]


def _was_last(reader: LogReader, run_id: str, window: int) -> bool:
    ends = (WindowEnd.model_validate_json(it.value) for it in reader.read([WINDOWS]) if it.value is not None)
    return next((end.last for end in ends if (end.run_id, end.window) == (run_id, window)), True)
