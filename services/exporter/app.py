"""Wiring of the exporter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limoflow.release_rows import RowPatience
from limoflow.stream.dead_letters import dead_letter
from limoflow.stream.types import Emit, LogReader, Record
from schemas.release import Release
from services.exporter.formats import check_formats
from services.exporter.settings import ExporterSettings
from services.exporter.task import ExporterTask, OnExport, export_release, format_names
from services.exporter.writing import release_folder

__all__ = ["ExporterSettings", "check_formats", "task", "write_release"]


def task(
    settings: ExporterSettings,
    reader: LogReader,
    *,
    patience: RowPatience | None = None,
    on_export: OnExport | None = None,
) -> ExporterTask:
    """Return the exporter; `on_export(export, seconds)` is for metrics."""
    return ExporterTask(settings.folder, reader, _dead_letter, patience, on_export)


def write_release(release: Release, reader: LogReader, folder: Path, formats: Sequence[str] = ()) -> Path:
    """Write a release below `folder`, in these formats or in those of its spec; return its own folder.

    Raises
    ------
    UsageError
        When a format is unknown.
    ExportError
        When rows are missing or a format fails.
    DependencyUnavailable
        When the disk is full or refuses.
    """
    export_release(release, reader, folder, list(formats) or format_names(release))
    return release_folder(folder, release)


def _dead_letter(record: Record, error: Exception) -> Emit:
    return dead_letter(record, stage=ExporterTask.name, version=ExporterTask.version, error=error, attempts=1)
