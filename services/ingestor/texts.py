"""The texts of a spec's sources, straight from the files, for building models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from schemas.run import RunSpec
from services.ingestor.rows import RowError, RowMapper
from services.ingestor.sources import SourceError, anchored, source_kind
from services.ingestor.task import VERSION


def iter_texts(spec: RunSpec, folder: Path | None = None) -> Iterator[tuple[str, str]]:
    """Yield (instruction, response) of every well-formed row, in the order of ingestion.

    Relative paths begin in `folder`, or where this process works. Rows and files that cannot be read are passed over:
    the ingestor records them when the run reads them.
    """
    for source in anchored(spec, folder).sources:
        kind, mapper = source_kind(source.kind), RowMapper(source, VERSION)
        try:
            units = kind.units(source)
        except SourceError:
            continue
        for unit in units:
            try:
                for row in kind.rows(unit, source, 0, 0):
                    if row.error is None and not row.passed:
                        try:
                            yield mapper.texts(row.value)
                        except RowError:
                            continue
            except SourceError:
                continue
