"""The exporter as a task: each release becomes a folder, then an event on `exports`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import structlog
from pydantic import ValidationError

from limoflow.errors import DependencyUnavailable, LimoflowError, PoisonError
from limoflow.release_rows import RowPatience, rows_of
from limoflow.stream.types import Emit, Input, LogReader, Record, TopicPartition
from limoflow.versions import check_version
from schemas.export import Export
from schemas.headers import event_headers
from schemas.release import Release
from schemas.run import ExportSpec
from schemas.topics import EXPORTS, RELEASES
from services.exporter.folder import remove_leftovers
from services.exporter.formats import load_formats
from services.exporter.rows import ReleaseData
from services.exporter.writing import existing_export, release_folder, write_release

SAFE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=:@ -]{0,199}")
DeadLetterOf = Callable[[Record, Exception], Emit]
OnExport = Callable[[Export, float], None]
log = structlog.get_logger(__name__)


class ExporterTask:
    """Writes releases. What it needs of a run stands in the release, which is immutable, so it reads no runs.

    Parameters
    ----------
    folder : Path
        Root of the release folders.
    reader : LogReader
        Reads samples.finalized.
    dead_letter : callable
        Makes the dead letter of a release that can never be exported.
    patience : RowPatience, optional
        How long to look for rows.
    on_export : callable, optional
        Called with each export and the seconds that it took, for metrics.
    """

    name = "exporter"
    version = "1"
    inputs = (Input(RELEASES),)

    def __init__(
        self,
        folder: Path,
        reader: LogReader,
        dead_letter: DeadLetterOf,
        patience: RowPatience | None = None,
        on_export: OnExport | None = None,
    ) -> None:
        self._root = folder
        self._reader = reader
        self._dead_letter = dead_letter
        self._patience = patience
        self._on_export = on_export

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Remove what a killed exporter left half written."""
        if partitions:
            for path in remove_leftovers(self._root):
                log.info("removed a half-written release", folder=str(path))

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Nothing to forget: the folders are the state."""

    def observe(self, records: Sequence[Record]) -> None:
        """Nothing is broadcast to the exporter."""

    def restore(self, records: Sequence[Record]) -> None:
        """Nothing to rebuild."""

    def process(self, records: Sequence[Record]) -> Iterable[Emit]:
        """Export each release; what can never be exported becomes a dead letter.

        Raises
        ------
        DependencyUnavailable
            When the disk is full or refuses, or the broker is out; nothing is lost and it is tried again.
        """
        return [self._handle(record) for record in records if record.value is not None]

    def tick(self) -> Iterable[Emit]:
        """Nothing is due without input."""
        return ()

    def delivered(self, ends: Mapping[TopicPartition, int]) -> None:
        """Nothing waits for delivery."""

    def _handle(self, record: Record) -> Emit:
        started = time.monotonic()
        try:
            export = self._export(read_release(record), record.timestamp_ms)
        except DependencyUnavailable:
            raise
        except LimoflowError as error:
            log.warning("a release cannot be exported", record=f"{record.topic}@{record.offset}", error=str(error))
            return self._dead_letter(record, error)
        if self._on_export is not None:
            self._on_export(export, time.monotonic() - started)
        return export_emit(export)

    def _export(self, release: Release, written_ms: int) -> Export:
        formats = format_names(release)
        export = export_release(release, self._reader, self._root, formats, written_ms or None, self._patience)
        log.info("release exported", run=release.run_id, window=release.window, rows=export.rows, folder=export.folder)
        return export


def export_release(
    release: Release,
    reader: LogReader,
    root: Path,
    names: Sequence[str],
    written_ms: int | None = None,
    patience: RowPatience | None = None,
) -> Export:
    """Write the folder of a release below `root`, or find it complete.

    Raises
    ------
    UsageError
        When a format is unknown.
    ExportError
        When rows are missing or a format fails.
    DependencyUnavailable
        When the disk is full or refuses, or the broker is out; nothing is left half written.
    """
    folder = release_folder(root, release)
    try:
        formats = load_formats(names)
        if (export := existing_export(release, folder, formats)) is not None:
            return export
        rows = rows_of(release, reader, written_ms=written_ms, patience=patience)
        return write_release(ReleaseData(release, rows), folder, formats)
    except OSError as error:
        raise DependencyUnavailable(
            f"release {release.release_id} of run {release.run_id!r} cannot be written to {folder}: {error}; "
            "make room or grant the rights, it is tried again and nothing is lost"
        ) from error


def read_release(record: Record) -> Release:
    """Parse the release in a record.

    Raises
    ------
    PoisonError
        When the bytes are no release, or of a version that this code does not read, or its name or run id cannot name a
        folder.
    """
    check_version(record)
    where = f"{record.topic}[{record.partition}]@{record.offset}"
    try:
        release = Release.model_validate_json(record.value or b"")
    except (ValidationError, RecursionError) as error:
        raise PoisonError(f"{where} holds no release: {error}") from error
    for field, value in (("name", release.name), ("run_id", release.run_id), ("release_id", release.release_id)):
        if not SAFE_PART.fullmatch(value):
            raise PoisonError(
                f"{where}: {field} {value!r} cannot name a folder; use up to 200 letters, digits and ._+=:@-"
            )
    return release


def format_names(release: Release) -> list[str]:
    """Return the formats that the release's spec asks for.

    Raises
    ------
    PoisonError
        When that part of the spec does not hold.
    """
    try:
        return ExportSpec.model_validate(release.spec.get("export", {})).formats
    except ValidationError as error:
        raise PoisonError(f"release {release.release_id}: its spec's `export` does not hold: {error}") from error


def export_emit(export: Export) -> Emit:
    """Return the record of an export, with CloudEvents headers."""
    headers = event_headers(
        "export.v1",
        export.release_id,
        ExporterTask.name,
        runid=export.run_id,
        window=export.window,
        releaseid=export.release_id,
        stage=ExporterTask.name,
    )
    return Emit(EXPORTS, export.release_id.encode(), export.to_bytes(), headers)
