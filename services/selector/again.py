"""Select again: both levels of the selector over records that were kept, with another RunSpec and no model call.

What it returns is what the services would release, or would have released: the same code folds the same records (G3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from limoflow.stream.dead_letters import read_dead_letter
from limoflow.stream.types import Emit, Record, TopicPartition
from schemas.headers import RUN, WINDOW, header_text
from schemas.release import Release
from schemas.run import Run
from schemas.topics import POOL, RELEASES, RUNS, WINDOWS
from schemas.window import WindowEnd
from services.selector.merge import Merge
from services.selector.pools import PartitionPools
from services.selector.records import pool_partition
from services.selector.settings import SelectorSettings

INPUTS = tuple(it.topic for it in PartitionPools.inputs if it.topic not in (RUNS, RELEASES))
"""The topics whose records it needs."""

_BATCH = 500


class _Drained:
    """Positions of a log of which everything has been read."""

    def committed(self, *_: str) -> dict[int, int]:
        """Return a position past every end."""
        return {0: 1}

    def ends(self, *_: str) -> dict[int, int]:
        """Return an end."""
        return {0: 1}

    def starts(self, *_: str) -> dict[int, int]:
        """Return the start."""
        return {0: 0}


def select_again(
    records: Iterable[Record], run: Run, window: int, *, last: bool = True, settings: SelectorSettings | None = None
) -> Release:
    """Return the release of one window of a run.

    Parameters
    ----------
    records : iterable of Record
        From the topics in `INPUTS`, in any order, also of other runs and windows.
    run : Run
        With the rules to select by.
    window : int
    last : bool
        Whether no further window will come; it is part of the manifest.
    """
    chosen = settings or SelectorSettings()
    first, second = PartitionPools(chosen), Merge(chosen, _Drained())
    second.assigned([TopicPartition(POOL, pool_partition(run.run_id))])
    for level in (first, second):
        level.observe([Record(RUNS, 0, 0, run.run_id.encode(), run.to_bytes())])
    ours = (record for record in records if _is_of(record, run.run_id, window))
    while batch := list(islice(ours, _BATCH)):
        list(second.process(_pool_records(first.process(batch))))
    end = WindowEnd(run_id=run.run_id, window=window, rows=0, end_offsets={"0": 1}, last=last)
    second.observe([Record(WINDOWS, 0, 0, b"", end.to_bytes())])
    return next(_releases(second))


def _is_of(record: Record, run_id: str, window: int) -> bool:
    if record.value is None:
        return False
    if record.topic.startswith("dlq."):
        letter = read_dead_letter(record)
        return (letter.run_id, letter.window) == (run_id, window)
    return (header_text(record.headers, RUN), header_text(record.headers, WINDOW)) == (run_id, str(window))


def _pool_records(emits: Iterable[Emit]) -> list[Record]:
    return [
        Record(POOL, it.partition or 0, place, it.key, it.value, it.headers)
        for place, it in enumerate(emits)
        if it.topic == POOL
    ]


def _releases(level: Merge) -> Iterator[Release]:
    while True:
        for emit in level.tick():
            if emit.topic == RELEASES and emit.value is not None:
                yield Release.model_validate_json(emit.value)
