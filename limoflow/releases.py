"""Releases as they were published and as they lie in folders, and how two differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from limoflow.stream.types import LogReader
from schemas.release import Release
from schemas.topics import RELEASES


def published_releases(reader: LogReader) -> Iterator[Release]:
    """Yield the releases on the topic `releases`."""
    for record in reader.read([RELEASES]):
        if record.value is not None:
            yield Release.model_validate_json(record.value)


def exported_releases(folder: Path) -> Iterator[Release]:
    """Yield the releases whose complete folders lie below `folder`."""
    for manifest in sorted(folder.glob("*/*/*/manifest.json")):
        if not any(part.startswith(".") for part in manifest.relative_to(folder).parts):
            yield Release.model_validate_json(manifest.read_bytes())


def difference(first: Release, second: Release) -> Iterator[str]:
    """Describe what changed from the first release to the second, one line each."""
    before = {row.id: row for row in first.rows}
    after = {row.id: row for row in second.rows}
    gone, come = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    yield f"{len(before)} rows before, {len(after)} after; {len(gone)} out, {len(come)} in"
    strata_before = Counter(row.stratum for row in first.rows)
    strata_after = Counter(row.stratum for row in second.rows)
    for stratum in sorted(strata_before.keys() | strata_after.keys()):
        if strata_before[stratum] != strata_after[stratum]:
            yield f"stratum {stratum}: {strata_before[stratum]} -> {strata_after[stratum]}"
    yield from (f"- {sample_id} {before[sample_id].source_ref}" for sample_id in gone)
    yield from (f"+ {sample_id} {after[sample_id].source_ref}" for sample_id in come)
