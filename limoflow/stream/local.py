"""A broker in this process: the log, positions and transactions of Kafka, in memory."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from limoflow.errors import UsageError
from limoflow.stream.partitioner import partition_of
from limoflow.stream.settings import MAX_MESSAGE_BYTES
from limoflow.stream.types import Emit, Record, TopicPartition
from schemas.topics import topics as described_topics


class LocalTransport:
    """Topics in memory. Safe to use from several threads.

    Parameters
    ----------
    partitions : int
        Of the topics that are marked `work`.
    max_message_bytes : int
        The largest value that is taken.
    """

    def __init__(self, partitions: int = 4, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._partitions = partitions
        self._max_message_bytes = max_message_bytes
        self._logs: dict[str, list[list[Record]]] = {}
        self._positions: dict[tuple[str, str], dict[int, int]] = {}
        self._lock = threading.RLock()
        self._turns = itertools.count()
        self._listeners: list[Callable[[], None]] = []

    def ensure_topics(self) -> None:
        """Create the topics of topics.yaml that are missing."""
        for name, topic in described_topics().items():
            self.create(name, self._partitions if topic.partitions == "work" else topic.partitions)

    def create(self, topic: str, partitions: int) -> None:
        """Create a topic, unless it exists."""
        with self._lock:
            self._logs.setdefault(topic, [[] for _ in range(partitions)])

    @property
    def offsets(self) -> LocalTransport:
        """Positions in the log."""
        return self

    @property
    def reader(self) -> LocalTransport:
        """A reader of the log."""
        return self

    @property
    def sender(self) -> LocalTransport:
        """A writer outside transactions."""
        return self

    def close(self) -> None:
        """Have nothing to disconnect."""

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the committed offset of a group for each partition of a topic."""
        with self._lock:
            positions = self._positions.get((group, topic), {})
            return {number: positions.get(number, 0) for number in range(len(self._log(topic)))}

    def ends(self, topic: str) -> dict[int, int]:
        """Return the end offset of each partition."""
        with self._lock:
            return {number: len(records) for number, records in enumerate(self._log(topic))}

    def starts(self, topic: str) -> dict[int, int]:
        """Return 0 for each partition: nothing is ever deleted here."""
        return dict.fromkeys(range(len(self._log(topic))), 0)

    def read(self, topics: Sequence[str], *, since_ms: int | None = None) -> Iterator[Record]:
        """Yield the records of the topics from the start (or a time) to the end as of this call."""
        with self._lock:
            found = [record for topic in topics for records in self._log(topic) for record in records]
        return (record for record in found if since_ms is None or record.timestamp_ms >= since_ms)

    def fetch(self, partition: TopicPartition, offset: int, limit: int) -> list[Record]:
        """Return at most `limit` records of a partition from an offset on."""
        with self._lock:
            return self._log(partition.topic)[partition.partition][offset : offset + limit]

    def send(self, emits: Iterable[Emit]) -> None:
        """Write records."""
        self.transact(emits, "", {})

    def transact(
        self, emits: Iterable[Emit], group: str, positions: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Write records and commit positions, both or neither.

        Returns
        -------
        dict of TopicPartition to int
            The offset after the last record written to each partition.

        Raises
        ------
        UsageError
            When a record is too large or its topic does not exist; nothing is written then.
        """
        checked = list(emits)
        for emit in checked:
            if len(emit.value or b"") > self._max_message_bytes:
                raise UsageError(
                    f"a record of {len(emit.value or b'')} bytes for topic {emit.topic!r} is over the bound of "
                    f"{self._max_message_bytes} bytes"
                )
        with self._lock:
            logs = [self._log(emit.topic) for emit in checked]
            ends = dict(self._append(emit, log) for emit, log in zip(checked, logs, strict=True))
            for partition, offset in positions.items():
                self._positions.setdefault((group, partition.topic), {})[partition.partition] = offset
            listeners = list(self._listeners)
        for listener in listeners:
            listener()
        return ends

    def listen(self, changed: Callable[[], None]) -> None:
        """Have `changed` called, from any thread, after every write or commit."""
        with self._lock:
            self._listeners.append(changed)

    def unlisten(self, changed: Callable[[], None]) -> None:
        """Undo `listen`."""
        with self._lock:
            self._listeners.remove(changed)

    def _log(self, topic: str) -> list[list[Record]]:
        try:
            return self._logs[topic]
        except KeyError:
            raise UsageError(f"topic {topic!r} does not exist; known: {', '.join(sorted(self._logs))}") from None

    def _append(self, emit: Emit, log: list[list[Record]]) -> tuple[TopicPartition, int]:
        number = self._place(emit, len(log))
        records = log[number]
        now = time.time_ns() // 1_000_000
        records.append(Record(emit.topic, number, len(records), emit.key, emit.value, emit.headers, now))
        return TopicPartition(emit.topic, number), len(records)

    def _place(self, emit: Emit, partitions: int) -> int:
        if emit.partition is not None:
            return emit.partition
        return next(self._turns) % partitions if emit.key is None else partition_of(emit.key, partitions)
