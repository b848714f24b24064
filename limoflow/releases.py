"""Releases as they were published and as they lie in folders, and how two differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from limoflow.stream.types import LogReader
from limoflow.versions import check_version
from schemas.release import ChosenRow, Release
from schemas.topics import RELEASES


def published_releases(reader: LogReader) -> Iterator[Release]:
    """Yield the releases on the topic `releases`."""
    for record in reader.read([RELEASES]):
        if record.value is not None:
            check_version(record)
            yield Release.model_validate_json(record.value)


def exported_releases(folder: Path) -> Iterator[Release]:
    """Yield the releases whose complete folders lie below `folder`."""
    for manifest in sorted(folder.glob("*/*/*/manifest.json")):
        if not any(part.startswith(".") for part in manifest.relative_to(folder).parts):
            yield Release.model_validate_json(manifest.read_bytes())


def difference(first: Release, second: Release) -> Iterator[str]:
    """Describe what changed from the first release to the second, one line each: totals, strata, scores, rows."""
    before = {row.id: row for row in first.rows}
    after = {row.id: row for row in second.rows}
    gone, come = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    yield f"{len(before)} rows before, {len(after)} after; {len(gone)} out, {len(come)} in"
    yield from _strata(before, after)
    yield from _scores(first.rows, second.rows)
    yield from (f"- {_described(before[sample_id])}" for sample_id in gone)
    yield from (f"+ {_described(after[sample_id])}" for sample_id in come)


def _described(row: ChosenRow) -> str:
    return f"{row.id} {row.source_ref} {row.stratum} rank {row.rank} score {row.score:.3f}"


def _strata(before: Mapping[str, ChosenRow], after: Mapping[str, ChosenRow]) -> Iterator[str]:
    counts = [Counter(row.stratum for row in rows.values()) for rows in (before, after)]
    out = Counter(row.stratum for row in before.values() if row.id not in after)
    into = Counter(row.stratum for row in after.values() if row.id not in before)
    for stratum in sorted(out.keys() | into.keys()):
        moved = f"{out[stratum]} out, {into[stratum]} in"
        yield f"stratum {stratum}: {counts[0][stratum]} -> {counts[1][stratum]} ({moved})"


def _scores(before: Sequence[ChosenRow], after: Sequence[ChosenRow]) -> Iterator[str]:
    """Describe how the scores and their parts are distributed: minimum, quartiles, maximum."""
    names = sorted({name for row in (*before, *after) for name in row.score_parts})
    for name in ("score", *names):
        shown = [_quantiles(_values(rows, name)) for rows in (before, after)]
        if shown[0] != shown[1]:
            yield f"{name}: {shown[0]} -> {shown[1]}"


def _values(rows: Sequence[ChosenRow], name: str) -> list[float]:
    if name == "score":
        return sorted(row.score for row in rows)
    return sorted(row.score_parts[name] for row in rows if name in row.score_parts)


def _quantiles(values: Sequence[float]) -> str:
    if not values:
        return "none"
    places = (round(share * (len(values) - 1)) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
    return " ".join(f"{values[place]:.3f}" for place in places)
