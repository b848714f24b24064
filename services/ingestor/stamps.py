"""Records of samples.raw and dead letters, with their headers."""

from __future__ import annotations

from limoflow.errors import PoisonError
from limoflow.stream.dead_letters import dead_letter
from limoflow.stream.types import Emit, Record
from schemas.headers import CONTENT, Headers, event_headers
from schemas.identity import content_hash
from schemas.topics import RAW
from services.ingestor.state import BATCH

TRUNCATED = "ce_truncatedfrom"


class Stamps:
    """The headers of one batch: all rows of it share run, window and batch."""

    def __init__(self, run_id: str, window: int, batch: int) -> None:
        shared = event_headers("sample.v1", "", "ingestor", runid=run_id, window=window)
        self._before, self._after = shared[:1], shared[2:]
        self._tail: Headers = (("ce_stage", b"ingestor"), (BATCH, str(batch).encode()))

    def sample(self, sample_id: str, data: bytes, instruction: str, response: str) -> Emit:
        """Return the record of a sample."""
        key = sample_id.encode()
        content = (CONTENT, content_hash(instruction, response).encode())
        return Emit(RAW, key, data, (*self._before, ("ce_id", key), *self._after, content, *self._tail))


def refused(
    original: bytes,
    where: str,
    row: int,
    why: Exception | str,
    *,
    sample_id: str,
    run_id: str,
    window: int,
    version: str,
    longest: int,
) -> Emit:
    """Return the dead letter of a row or a file: its bytes, cut at `longest`, the file and the why."""
    record = Record(where, 0, row, sample_id.encode(), original[:longest])
    letter = dead_letter(
        record,
        stage="ingestor",
        version=version,
        error=PoisonError(f"{where}#{row}: {why}"),
        attempts=1,
        run_id=run_id,
        window=window,
        sample_id=sample_id,
    )
    if len(original) <= longest:
        return letter
    return Emit(letter.topic, letter.key, letter.value, (*letter.headers, (TRUNCATED, str(len(original)).encode())))
