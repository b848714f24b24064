"""Building the novelty index from releases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from limoflow.errors import UsageError
from limoflow.release_rows import rows_of
from limoflow.stream.types import LogReader
from schemas.release import Release


def index_releases(releases: Sequence[Release], reader: LogReader, folder: Path) -> str:
    """Add releases to the index in a folder; return its version.

    Raises
    ------
    UsageError
        When the index cannot be read, or holds embeddings of another model.
    ExportError
        When rows of a release are on the topics no more.
    """
    from services.selector.app import add_release

    version = ""
    for release in releases:
        samples = [sample.to_bytes() for sample in rows_of(release, reader)]
        try:
            version = add_release(folder, release.release_id, samples).version
        except ValueError as error:
            raise UsageError(str(error)) from error
    return version
