"""Where a task stands in its partitions, and which of its methods a record goes to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from limoflow.stream.types import Record, Task, TopicPartition


class TaskFeed:
    """The assigned partitions of one worker of a task.

    Attributes
    ----------
    positions : dict of TopicPartition to int
        The offset after the last record that was handled, restored ones included.
    committed : dict of TopicPartition to int
        What the group has committed.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.shared = tuple(one.topic for one in task.inputs if one.mode != "broadcast")
        self.broadcast = tuple(one.topic for one in task.inputs if one.mode == "broadcast")
        self._rebuilt = frozenset(one.topic for one in task.inputs if one.mode == "rebuild")
        self.positions: dict[TopicPartition, int] = {}
        self.committed: dict[TopicPartition, int] = {}

    @property
    def partitions(self) -> list[TopicPartition]:
        """The assigned partitions."""
        return sorted(self.positions)

    @property
    def restoring(self) -> list[TopicPartition]:
        """Partitions whose state is not rebuilt yet; until then nothing may be processed."""
        return [one for one in self.positions if one.topic in self._rebuilt and not self.restored(one)]

    def restored(self, partition: TopicPartition) -> bool:
        """Whether a partition was read up to what was committed."""
        return self.positions[partition] >= self.committed[partition]

    def start(self, partition: TopicPartition, committed: int) -> int:
        """Take a partition on and return the offset to read it from."""
        self.committed[partition] = committed
        self.positions[partition] = self.origin(partition, committed)
        return self.positions[partition]

    def origin(self, partition: TopicPartition, committed: int) -> int:
        """Return the offset to read a partition from, where that one is committed."""
        return 0 if partition.topic in self._rebuilt else committed

    def forget(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Let partitions go and return those that were held."""
        held = [one for one in partitions if one in self.positions]
        for one in held:
            del self.positions[one], self.committed[one]
        return held

    def take(self, records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
        """Move the positions over records that came and return what to restore from and what to process.

        Records of partitions that are not held, or from before the position, are passed over.
        """
        restore: list[Record] = []
        process: list[Record] = []
        positions, committed = self.positions, self.committed
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            if record.offset < positions.get(partition, record.offset + 1):
                continue
            positions[partition] = record.offset + 1
            (process if record.offset >= committed[partition] else restore).append(record)
        return restore, process

    def reached(self, partition: TopicPartition, end: int) -> None:
        """Note that a partition was read to its end, over whatever is no record there."""
        if partition in self.positions:
            self.positions[partition] = max(self.positions[partition], end)
            # A log shorter than what was committed (a topic made anew) would never be restored otherwise.
            self.committed[partition] = min(self.committed[partition], self.positions[partition])

    def uncommitted(self) -> dict[TopicPartition, int]:
        """Return the positions that lie beyond what was committed."""
        return {one: offset for one, offset in self.positions.items() if offset > self.committed[one]}

    def note_commit(self) -> None:
        """Note that all positions of restored partitions are committed."""
        self.committed.update({one: offset for one, offset in self.positions.items() if offset > self.committed[one]})
