"""Wiring of the trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from limoflow.release_rows import RowPatience
from limoflow.stream.dead_letters import dead_letter
from limoflow.stream.types import Emit, LogReader, Record
from services.trainer.child import check_device
from services.trainer.job import Step
from services.trainer.record import record_rewards
from services.trainer.settings import TrainerSettings
from services.trainer.task import OnStep, TrainerTask

__all__ = ["Step", "TrainerSettings", "record_rewards", "task"]


def task(
    settings: TrainerSettings,
    reader: LogReader,
    *,
    patience: RowPatience | None = None,
    on_step: OnStep | None = None,
    base_path: Callable[[str], Path] = Path,
) -> TrainerTask:
    """Return the trainer. Call its `stop()` on SIGTERM; `on_step(release, step)` is for metrics.

    Raises
    ------
    UsageError
        When the settings send it to a GPU and there is none.
    """
    check_device(settings.device)
    return TrainerTask(settings, reader, _dead_letter, patience, on_step, base_path)


def _dead_letter(record: Record, error: Exception) -> Emit:
    return dead_letter(record, stage=TrainerTask.name, version=TrainerTask.version, error=error, attempts=1)
