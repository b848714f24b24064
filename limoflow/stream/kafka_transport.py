"""Positions, reading and writing on Kafka, outside any service."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import (
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from limoflow.errors import DependencyUnavailable, UsageError
from limoflow.stream.kafka_errors import connect, failure, quiet, refused, to_record, unreachable
from limoflow.stream.settings import MAX_MESSAGE_BYTES, BrokerSettings
from limoflow.stream.topics_admin import ensure_topics
from limoflow.stream.types import Emit, Record

_BY_KEY = -1
_OPEN_TRANSACTION_S = 3.0
_ASK_AGAIN_S = 0.1
_ASK_S = 1.0
# Messages in hand at once: 500 samples make 2 MiB of objects, which Python keeps, and come at 0.5 to 0.7 of the rate.
_READ_AT_ONCE = 100
_PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        # A broker that has just come back leads its partitions before it knows the new epoch.
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._WAIT_COORD,
        KafkaError._TIMED_OUT,
    }
)


def partitions_of(admin: AdminClient | Consumer, topic: str, settings: BrokerSettings) -> list[TopicPartition]:
    """Return the partitions of a topic.

    Raises
    ------
    UsageError
        When the topic does not exist.
    DependencyUnavailable
        When the broker does not answer.
    """
    try:
        described = admin.list_topics(topic, timeout=settings.connect_timeout_s).topics[topic]
    except KafkaException as error:
        raise failure(settings, error.args[0], f"topic {topic!r}") from error
    if described.error is not None and described.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise UsageError(f"topic {topic!r} does not exist at {settings.bootstrap_servers}; `limoflow up` creates it")
    if described.error is not None:
        raise failure(settings, described.error, f"topic {topic!r}")
    return [TopicPartition(topic, number) for number in sorted(described.partitions)]


class KafkaOffsets:
    """Positions, one request for all partitions of a topic.

    Those that a group has committed are asked for as a member that never joins: librdkafka 2.16 crashes the process
    where the admin interface's question is answered with an error, as it is while a coordinator moves.

    After a question that found no answer the next one is asked by new clients, for the old ones may never hear of a
    broker again (limoflow.stream.vital_signs).
    """

    def __init__(self, settings: BrokerSettings, admin: AdminClient) -> None:
        self._settings = settings
        self._admin = admin
        self._members: dict[str, Consumer] = {}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the committed offset of a group for each partition of a topic."""
        wanted = self._partitions_of(topic)
        if group not in self._members:
            self._members[group] = Consumer(self._settings.consumer(group_id=group, error_cb=quiet))
        member = self._members[group]

        def ask() -> dict[int, int]:
            # A refusal comes this way alone: the call itself would wait for a coordinator to the end of its time.
            told = member.poll(0)
            if told is not None and (error := told.error()) is not None and refused(error):
                raise KafkaException(error)
            found = member.committed(wanted, timeout=_ASK_S)
            for one in found:
                if one.error is not None:
                    raise KafkaException(one.error)
            return {one.partition: max(0, one.offset) for one in found}

        return self._patiently(ask, f"group {group!r}")

    def close(self) -> None:
        """Disconnect."""
        for member in self._members.values():
            member.close()
        self._members.clear()

    def ends(self, topic: str) -> dict[int, int]:
        """Return the end offset of each partition, records of open transactions counted in."""
        return self._list(topic, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def starts(self, topic: str) -> dict[int, int]:
        """Return the first offset of each partition that retention has left."""
        return self._list(topic, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def _list(self, topic: str, which: OffsetSpec) -> dict[int, int]:
        asked = dict.fromkeys(self._partitions_of(topic), which)

        def ask() -> dict[int, int]:
            answers = self._admin.list_offsets(asked, request_timeout=self._settings.connect_timeout_s)
            return {partition.partition: answer.result().offset for partition, answer in answers.items()}

        return self._patiently(ask, f"topic {topic!r}")

    def _partitions_of(self, topic: str) -> list[TopicPartition]:
        with self._renewed_where_unanswered():
            return partitions_of(self._admin, topic, self._settings)

    @contextmanager
    def _renewed_where_unanswered(self) -> Iterator[None]:
        try:
            yield
        except DependencyUnavailable:
            self.close()
            self._admin = AdminClient(self._settings.client(error_cb=quiet))
            raise

    def _patiently(self, ask: Callable[[], dict[int, int]], what: str) -> dict[int, int]:
        """Ask again while the broker is still finding its leaders: just created, or just started."""
        deadline = time.monotonic() + self._settings.connect_timeout_s
        with self._renewed_where_unanswered():
            while True:
                try:
                    return ask()
                except KafkaException as error:
                    if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                        raise failure(self._settings, error.args[0], what) from error
                time.sleep(_ASK_AGAIN_S)


class KafkaLogReader:
    """Reads committed records with a consumer of its own for each call."""

    def __init__(self, settings: BrokerSettings, offsets: KafkaOffsets) -> None:
        self._settings = settings
        self._offsets = offsets

    def read(self, topics: Sequence[str], *, since_ms: int | None = None) -> Iterator[Record]:
        """Yield the committed records of the topics from the start (or a time) to the end as of this call.

        Raises
        ------
        DependencyUnavailable
            When the broker does not answer.
        UsageError
            When a topic does not exist.
        """
        consumer = Consumer(self._settings.consumer(group_id="limoflow-reader", error_cb=quiet))
        try:
            ends = self._assign(consumer, topics, since_ms)
            yield from self._until(consumer, ends)
        finally:
            consumer.close()

    def _assign(self, consumer: Consumer, topics: Sequence[str], since_ms: int | None) -> dict[tuple[str, int], int]:
        timeout = self._settings.connect_timeout_s
        ends: dict[tuple[str, int], int] = {}
        begins = []
        for topic in topics:
            # The admin's ends count open transactions in; those of a consumer that reads committed records do not.
            starts = self._offsets.starts(topic)
            for number, end in self._offsets.ends(topic).items():
                if end > starts[number]:
                    ends[topic, number] = end
                    # A number and not OFFSET_BEGINNING, which librdkafka asks for half a second later.
                    begins.append(TopicPartition(topic, number, starts[number] if since_ms is None else since_ms))
        if since_ms is not None and begins:
            begins = [
                begin for begin in consumer.offsets_for_times(begins, timeout=timeout) if begin.offset != OFFSET_END
            ]
            later = {(begin.topic, begin.partition) for begin in begins}
            ends = {place: end for place, end in ends.items() if place in later}
        consumer.assign(begins)
        return ends

    def _until(self, consumer: Consumer, ends: dict[tuple[str, int], int]) -> Iterator[Record]:
        """Read to the ends; what an open transaction holds back is waited for only briefly.

        A commit returns, and its positions can be seen, a moment before its records can.
        """
        heard = time.monotonic()
        held_back: set[tuple[str, int]] = set()
        while ends:
            messages = consumer.consume(_READ_AT_ONCE, timeout=0.1)
            silence_s = time.monotonic() - heard
            if messages:
                heard = time.monotonic()
            elif silence_s > _OPEN_TRANSACTION_S and held_back >= ends.keys():
                return
            elif silence_s > max(self._settings.connect_timeout_s, 2 * _OPEN_TRANSACTION_S):
                raise unreachable(self._settings, f"no records of {sorted({topic for topic, _ in ends})}")
            for message in messages:
                yield from self._within(message, ends, held_back)

    def _within(
        self, message: Any, ends: dict[tuple[str, int], int], held_back: set[tuple[str, int]]
    ) -> Iterator[Record]:
        error = message.error()
        place = (message.topic(), message.partition())
        if error is None and place in ends:
            held_back.discard(place)
            if message.offset() < ends[place]:
                yield to_record(message)
        elif error is not None and error.code() == KafkaError._PARTITION_EOF:
            held_back.add(place)
        elif error is not None and not error.retriable():
            raise failure(self._settings, error, f"topic {message.topic()!r}")
        after = message.offset() if error is not None else message.offset() + 1
        if after is not None and after >= ends.get(place, after + 1):
            del ends[place]


class KafkaSender:
    """Writes records and waits for their delivery."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._producer: Producer | None = None

    def send(self, emits: Iterable[Emit]) -> None:
        """Write and return once all are delivered.

        Raises
        ------
        UsageError
            When a record is larger than the broker takes.
        DependencyUnavailable
            When the broker does not take them within the delivery timeout.
        """
        if self._producer is None:
            self._producer = Producer(self._settings.producer(error_cb=quiet))
        failures: list[tuple[KafkaError, str | None]] = []

        def delivered(error: KafkaError | None, message: Message[Any, Any]) -> None:
            if error is not None:
                failures.append((error, message.topic()))

        for emit in emits:
            produce(self._producer, self._settings, emit, delivered)
        left = self._producer.flush(self._settings.delivery_timeout_ms / 1000 + 1)
        if failures:
            error, topic = failures[0]
            raise failure(self._settings, error, f"topic {topic!r}")
        if left:
            raise unreachable(self._settings, f"{left} records were not delivered")

    def close(self) -> None:
        """Deliver what is left."""
        if self._producer is not None:
            self._producer.flush(self._settings.connect_timeout_s)


def produce(
    producer: Producer,
    settings: BrokerSettings,
    emit: Emit,
    on_delivery: Callable[[KafkaError | None, Message[Any, Any]], None],
) -> None:
    """Hand a record to the producer, waiting where its queue is full.

    Raises
    ------
    UsageError
        When the record is larger than the broker takes, or its topic cannot be.
    AccessDenied
        When the user may not write to the topic.
    """
    partition = _BY_KEY if emit.partition is None else emit.partition
    headers: Any = list(emit.headers) or None
    while True:
        try:
            producer.produce(emit.topic, emit.value, emit.key, partition, on_delivery, headers=headers)
        except BufferError:
            producer.poll(0.05)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                size = len(emit.value or b"")
                raise UsageError(
                    f"a record of {size} bytes for topic {emit.topic!r} is over the bound of {MAX_MESSAGE_BYTES} bytes"
                ) from error
            raise failure(settings, error.args[0], f"topic {emit.topic!r} takes no record") from error
        else:
            return


class KafkaTransport:
    """A broker as the command line and the wiring see it.

    Parameters
    ----------
    settings : BrokerSettings

    Raises
    ------
    DependencyUnavailable
        When no broker answers at the address within `connect_timeout_s`.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._offsets = KafkaOffsets(settings, connect(settings))
        self._reader = KafkaLogReader(settings, self._offsets)
        self._sender = KafkaSender(settings)

    def ensure_topics(self) -> None:
        """Create the topics of topics.yaml that are missing."""
        ensure_topics(self._settings)

    @property
    def offsets(self) -> KafkaOffsets:
        """Positions in the log."""
        return self._offsets

    @property
    def reader(self) -> KafkaLogReader:
        """A reader of the log."""
        return self._reader

    @property
    def sender(self) -> KafkaSender:
        """A writer outside transactions."""
        return self._sender

    def close(self) -> None:
        """Flush and disconnect."""
        self._sender.close()
        self._offsets.close()
