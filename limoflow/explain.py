"""Everything that the topics know of one sample."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from limoflow.audit import known_topics
from limoflow.stream.types import LogReader, Record
from schemas.headers import RUN, header_text
from schemas.release import ChosenRow, Release
from schemas.topics import RELEASES


@dataclass(frozen=True, slots=True)
class Sighting:
    """One record of the sample: where it was seen, and its parsed value (raw text where it cannot be parsed)."""

    topic: str
    partition: int
    offset: int
    headers: dict[str, str]
    value: Any


@dataclass(slots=True)
class Explanation:
    """The way of one sample through the topics, in the order of the flow."""

    sample_id: str
    sightings: list[Sighting] = field(default_factory=list)
    chosen: list[tuple[Release, ChosenRow]] = field(default_factory=list)
    parent: str | None = None


def explain(reader: LogReader, sample_id: str, run_id: str | None = None) -> Explanation:
    """Collect every record whose key is `sample_id`, and the releases that chose it."""
    explanation = Explanation(sample_id)
    key = sample_id.encode()
    seen: dict[str, Sighting] = {}
    for record in reader.read(known_topics()):
        if record.key != key or run_id not in (None, header_text(record.headers, RUN)):
            continue
        sighting = _sighting(record)
        # A redelivered record says the same again: only the last of each topic and run is shown.
        seen[f"{record.topic}|{sighting.headers.get(RUN)}"] = sighting
    order = {topic: place for place, topic in enumerate(known_topics())}
    explanation.sightings = sorted(seen.values(), key=lambda seen_at: order[seen_at.topic])
    explanation.parent = _parent(explanation.sightings)
    explanation.chosen = list(_choices(reader.read([RELEASES]), sample_id, run_id))
    return explanation


def _sighting(record: Record) -> Sighting:
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers if value is not None}
    raw = record.value or b""
    try:
        value: Any = orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = raw[:2000].decode("utf-8", "replace")
    return Sighting(record.topic, record.partition, record.offset, headers, value)


def _parent(sightings: list[Sighting]) -> str | None:
    for sighting in sightings:
        if isinstance(sighting.value, dict):
            metadata = sighting.value.get("metadata")
            lineage = metadata.get("lineage") if isinstance(metadata, dict) else None
            parent = lineage.get("parent") if isinstance(lineage, dict) else None
            if parent:
                return str(parent)
    return None


def _choices(records: Iterable[Record], sample_id: str, run_id: str | None) -> Iterable[tuple[Release, ChosenRow]]:
    for record in records:
        if record.value is None:
            continue
        release = Release.model_validate_json(record.value)
        if run_id in (None, release.run_id):
            yield from ((release, row) for row in release.rows if row.id == sample_id)
