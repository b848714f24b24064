"""The windows that are released, and whom they chose."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from limoflow.errors import InvariantBroken, PoisonError
from limoflow.stream.types import Record
from limoflow.versions import check_version
from services.selector.keys import keyed_hash


class Released:
    """Releases by run and window. Of the chosen ids only 64-bit hashes are kept."""

    def __init__(self) -> None:
        self._releases: dict[tuple[str, int], tuple[str, frozenset[int]]] = {}

    def __contains__(self, place: tuple[str, int]) -> bool:
        return place in self._releases

    def observe(self, records: Sequence[Record]) -> list[tuple[str, int]]:
        """Take note of records of the topic `releases`; return the windows that are new.

        Raises
        ------
        InvariantBroken
            When one cannot be read, or is of a version that this code does not read: its window would be released
            again.
        """
        new = []
        for record in records:
            if record.value is None:
                continue
            place, release_id, ids = _read(record, record.value)
            if place not in self._releases:
                new.append(place)
            self._releases[place] = (release_id, frozenset(map(_short, ids)))
        return new

    def chose(self, place: tuple[str, int], sample_id: str) -> bool:
        """Return whether a released window chose an id."""
        return _short(sample_id) in self._releases[place][1]

    def release_id(self, place: tuple[str, int]) -> str:
        """Return the id of a window's release."""
        return self._releases[place][0]


def _read(record: Record, value: bytes) -> tuple[tuple[str, int], str, list[str]]:
    """Return a release's place, its id and those of its rows; the rest of a manifest would cost ten times as much."""
    try:
        check_version(record)
        release = orjson.loads(value)
        ids = [row["id"] for row in release["rows"]]
        return (release["run_id"], release["window"]), release["release_id"], ids
    except (PoisonError, ValueError, LookupError, TypeError) as error:
        raise InvariantBroken(f"{record.topic}@{record.offset} is no release: {error!r}") from error


def _short(sample_id: str) -> int:
    return keyed_hash("released", 0, sample_id) % 2**64
