"""The ordered ledger: records finish in any order, acknowledgements move only over the finished prefix.

A committed offset means that everything before it is done (promise G2, and the drain barrier). So a partition's
position never passes a record that is still being handled, however many later ones are finished.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from limoflow.stream.types import TopicPartition


class _Line:
    """The records of one partition in the order of their offsets."""

    __slots__ = ("entries", "last", "moved", "position")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.last = -1
        self.position = 0
        self.moved = False


class Entry:
    """One record that was begun; it belongs to the assignment under which it was begun."""

    __slots__ = ("finished", "line", "offset")

    def __init__(self, line: _Line, offset: int) -> None:
        self.line = line
        self.offset = offset
        self.finished = False


class OrderedLedger:
    """What is in flight, and how far each partition may be acknowledged.

    Parameters
    ----------
    capacity : int
        How many records may be begun and not yet acknowledged, at least 1, over all partitions.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"the capacity of a ledger is at least 1, not {capacity}")
        self._capacity = capacity
        self._lines: dict[TopicPartition, _Line] = {}
        self._pending = 0

    @property
    def pending(self) -> int:
        """Number of records begun and not yet acknowledged."""
        return self._pending

    @property
    def full(self) -> bool:
        """Whether no further record may be begun now."""
        return self._pending >= self._capacity

    def begin(self, partition: TopicPartition, offset: int) -> Entry | None:
        """Note that the handling of a record begins.

        Returns
        -------
        Entry or None
            None for a record that this assignment has begun before: it is in flight or done already.

        Raises
        ------
        OverflowError
            When the ledger is full; ask `full` first.
        """
        if self._pending >= self._capacity:
            raise OverflowError(f"{self._pending} records are in flight, the bound is {self._capacity}; wait for room")
        line = self._lines.get(partition)
        if line is None:
            line = self._lines[partition] = _Line()
        elif offset <= line.last:
            return None
        line.last = offset
        entry = Entry(line, offset)
        line.entries.append(entry)
        self._pending += 1
        return entry

    def standing(self, partition: TopicPartition) -> tuple[int, int] | None:
        """Return the offset of the first record that is not finished (or the next one), and how many are in flight.

        None where nothing was begun since the partition was assigned.
        """
        line = self._lines.get(partition)
        if line is None:
            return None
        return (line.entries[0].offset if line.entries else line.last + 1), len(line.entries)

    def finish(self, entry: Entry) -> None:
        """Note that a record is done: its outputs are delivered. After `forget` this changes nothing."""
        entry.finished = True
        line = entry.line
        entries = line.entries
        while entries and entries[0].finished:
            line.position = entries.popleft().offset + 1
            line.moved = True
            self._pending -= 1

    def take(self) -> dict[TopicPartition, int]:
        """Return the offsets to commit for the partitions whose finished prefix grew since the last call."""
        moved = {}
        for partition, line in self._lines.items():
            if line.moved:
                line.moved = False
                moved[partition] = line.position
        return moved

    def forget(self, partitions: Iterable[TopicPartition] | None = None) -> None:
        """Drop partitions that were taken away, all by default; what is in flight of them counts no more."""
        for partition in list(self._lines) if partitions is None else partitions:
            line = self._lines.pop(partition, None)
            if line is not None:
                self._pending -= len(line.entries)
                line.entries.clear()
