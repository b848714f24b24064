"""The vocabulary of the stream runtime. Handlers know these words and no transport."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from schemas.headers import Headers


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True)
class Emit:
    """One record to be written. A value of None on a compacted topic is a tombstone.

    `partition` overrules the partitioner, which goes by the hash of the key.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None


class Stage(Protocol):
    """A stateless service: each record on its own, many in flight, acknowledged in order.

    `handle` may raise `PoisonError` (dead-letter at once) or `DependencyUnavailable` (tried again without limit, while
    intake stands still); any other exception is tried three times and then dead-lettered.
    """

    @property
    def name(self) -> str:
        """The consumer group; the dead-letter topic is `dlq.<name>`."""
        ...

    @property
    def version(self) -> str:
        """The version of the stage's behaviour."""
        ...

    @property
    def topic(self) -> str:
        """The topic that it consumes."""
        ...

    @property
    def broadcast(self) -> tuple[str, ...]:
        """Compacted topics of which every worker sees all records, from the beginning."""
        ...

    def observe(self, records: Sequence[Record]) -> None:
        """Take note of records of the broadcast topics. May be called from another thread."""
        ...

    async def handle(self, record: Record) -> Sequence[Emit]:
        """Return what is to be written before the record is acknowledged."""
        ...

    async def close(self) -> None:
        """Let go of connections and processes, in the loop that `handle` ran in; called once, at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Input:
    """One topic that a task reads, and how.

    `group`: partitions are shared among the workers; offsets are committed with the outputs in one transaction.
    `rebuild`: shared likewise, but an assigned partition is read from offset 0: records below the committed offset go
    to `restore`, the others to `process`.
    `broadcast`: every worker sees all records, through `observe`; none is processed before the broadcast topics have
    been read to their ends.
    """

    topic: str
    mode: Literal["group", "rebuild", "broadcast"] = "group"


class Task(Protocol):
    """A stateful service: whole batches in, outputs and offsets out in one transaction.

    The methods are called one at a time, though not always from the same thread. An exception aborts the transaction;
    `DependencyUnavailable` is tried again, any other ends the process, which starts anew from what was committed.
    A task dead-letters what it cannot read by itself (`limoflow.stream.dead_letters.dead_letter`).
    """

    @property
    def name(self) -> str:
        """The consumer group, and the prefix of the transactional id."""
        ...

    @property
    def version(self) -> str:
        """The version of the task's behaviour."""
        ...

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The topics that it reads."""
        ...

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """Begin with empty state for newly assigned `group` and `rebuild` partitions."""
        ...

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Forget the state of partitions that another worker now owns."""
        ...

    def observe(self, records: Sequence[Record]) -> None:
        """Take note of records of the broadcast topics."""
        ...

    def restore(self, records: Sequence[Record]) -> None:
        """Rebuild state from records that were processed before; nothing may be written."""
        ...

    def process(self, records: Sequence[Record]) -> Iterable[Emit]:
        """Handle a batch, in offset order for each partition, and return its outputs."""
        ...

    def tick(self) -> Iterable[Emit]:
        """Do what is due without input; called again at once while it returns something, else every 0.2 s or so."""
        ...

    def delivered(self, ends: Mapping[TopicPartition, int]) -> None:
        """Learn, after a commit, the offset after the last record written to each partition."""
        ...


@runtime_checkable
class Interruptible(Protocol):
    """A task whose work takes minutes, and that can end it early without losing it."""

    def stop(self) -> None:
        """End the work at hand; it is taken up again later. May be called from any thread, at any time."""
        ...


class Offsets(Protocol):
    """Positions in the log; partitions that hold or committed nothing are 0."""

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the committed offset of a group for each partition of a topic."""
        ...

    def ends(self, topic: str) -> dict[int, int]:
        """Return the end offset of each partition, records of open transactions counted in."""
        ...

    def starts(self, topic: str) -> dict[int, int]:
        """Return the first offset of each partition that retention has left."""
        ...


class LogReader(Protocol):
    """Reads what is in the log now, outside any consumer group."""

    def read(self, topics: Sequence[str], *, since_ms: int | None = None) -> Iterator[Record]:
        """Yield the committed records of the topics from the start (or a time) to the end as of this call."""
        ...


class Sender(Protocol):
    """Writes records outside a transaction."""

    def send(self, emits: Iterable[Emit]) -> None:
        """Write and return once all are delivered.

        Raises
        ------
        DependencyUnavailable
            When the broker does not take them within the delivery timeout.
        """
        ...


class Transport(Protocol):
    """What the command line and the wiring need of a broker, whichever it is."""

    def ensure_topics(self) -> None:
        """Create the topics that are missing."""
        ...

    @property
    def offsets(self) -> Offsets:
        """Positions in the log."""
        ...

    @property
    def reader(self) -> LogReader:
        """A reader of the log."""
        ...

    @property
    def sender(self) -> Sender:
        """A writer outside transactions."""
        ...

    def close(self) -> None:
        """Flush and disconnect."""
        ...
