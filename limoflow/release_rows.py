"""The rows of a release, read from samples.finalized: what the exporter and the trainer work on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from limoflow.errors import ExportError
from limoflow.stream.types import LogReader, Record
from schemas.headers import RELEASE, header_text
from schemas.release import Release
from schemas.sample import Message, Sample
from schemas.topics import FINALIZED

NAMED_IN_ERRORS = 5


@dataclass(frozen=True, slots=True)
class RowPatience:
    """How long to look for rows that are not visible yet.

    Attributes
    ----------
    attempts : int
        Times that the whole topic is read before the rows count as lost, at least 1.
    pause_s : float
        Seconds between two attempts.
    margin_ms : int
        The first, cheap look starts this much before the time of the release's record.
    """

    attempts: int = 3
    pause_s: float = 1.0
    margin_ms: int = 60_000


def rows_of(
    release: Release,
    reader: LogReader,
    *,
    written_ms: int | None = None,
    patience: RowPatience | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> list[Sample]:
    """Return the finalized samples of a release, in the order of its manifest.

    Rows and release are written in one transaction, so the rows are there as soon as the release is seen. A row counts
    when id and content hash are those of the manifest; of several records of one row the one with the smallest bytes
    stands, so repeats and their order change nothing (G2, G3).

    Parameters
    ----------
    release : Release
    reader : LogReader
    written_ms : int, optional
        The timestamp of the release's record. The topic is read from a little before it, and from its start only where
        that is not enough.
    patience : RowPatience, optional
    pause : callable, optional
        Waits that many seconds.

    Raises
    ------
    ExportError
        When rows are still missing after the last attempt; the message names them.
    DependencyUnavailable
        When the reader cannot reach the broker.
    """
    bounds = patience or RowPatience()
    search = _Search(release)
    if written_ms is not None and written_ms > bounds.margin_ms:
        search.look(reader, written_ms - bounds.margin_ms)
    for attempt in range(bounds.attempts):
        if not search.missing():
            break
        if attempt:
            pause(bounds.pause_s)
        search.look(reader, None)
    return search.rows()


def earlier_turns(sample: Sample) -> list[Message]:
    """Return the turns before the sample's own instruction, system messages included; empty where it is no chat."""
    turns = list(sample.messages or ())
    if turns and turns[-1].role == "assistant":
        turns.pop()
    if turns and turns[-1].role == "user":
        turns.pop()
    return turns


class _Search:
    def __init__(self, release: Release) -> None:
        self._release = release
        self._wanted = {row.id: row.content_hash for row in release.rows}
        self._found: dict[str, tuple[bytes, Sample]] = {}

    def missing(self) -> list[str]:
        return [row.id for row in self._release.rows if row.id not in self._found]

    def look(self, reader: LogReader, since_ms: int | None) -> None:
        for record in reader.read([FINALIZED], since_ms=since_ms):
            if record.value is not None and self._may_belong(record):
                self._take(record.value)

    def rows(self) -> list[Sample]:
        if missing := self.missing():
            named = ", ".join(missing[:NAMED_IN_ERRORS])
            more = f" and {len(missing) - NAMED_IN_ERRORS} more" if len(missing) > NAMED_IN_ERRORS else ""
            raise ExportError(
                f"release {self._release.release_id} of run {self._release.run_id!r}: {len(missing)} of "
                f"{len(self._release.rows)} rows are not on topic {FINALIZED!r} with the content hash of the manifest: "
                f"{named}{more}; if retention has deleted them, run the window again"
            )
        return [self._found[row.id][1] for row in self._release.rows]

    def _may_belong(self, record: Record) -> bool:
        if header_text(record.headers, RELEASE) != self._release.release_id:
            return False
        return record.key is None or record.key.decode("utf-8", "replace") in self._wanted

    def _take(self, value: bytes) -> None:
        try:
            sample = Sample.model_validate_json(value)
        except ValidationError:
            # Not a row of the manifest as it stands; if it should have been one, `rows` names it as missing.
            return
        known = self._found.get(sample.id)
        if self._wanted.get(sample.id) != sample.content_hash or (known is not None and known[0] <= value):
            return
        self._found[sample.id] = (value, sample)
