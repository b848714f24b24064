"""Positions, reading and writing on Kafka, outside any service."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from limoflow.errors import DependencyUnavailable, UsageError
from limoflow.stream.kafka_errors import connect, quiet, to_record, unreachable
from limoflow.stream.settings import MAX_MESSAGE_BYTES, BrokerSettings
from limoflow.stream.topics_admin import ensure_topics
from limoflow.stream.types import Emit, Record


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
        raise unreachable(settings, error.args[0].str()) from error
    if described.error is not None and described.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise UsageError(f"topic {topic!r} does not exist at {settings.bootstrap_servers}; `limoflow up` creates it")
    if described.error is not None:
        raise unreachable(settings, f"topic {topic!r}: {described.error.str()}")
    return [TopicPartition(topic, number) for number in sorted(described.partitions)]


class KafkaOffsets:
    """Positions by the admin interface, one request for all partitions of a topic."""

    def __init__(self, settings: BrokerSettings, admin: AdminClient) -> None:
        self._settings = settings
        self._admin = admin

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the committed offset of a group for each partition of a topic."""
        wanted = ConsumerGroupTopicPartitions(group, partitions_of(self._admin, topic, self._settings))
        try:
            answer = self._admin.list_consumer_group_offsets([wanted], request_timeout=self._settings.connect_timeout_s)
            found = answer[group].result().topic_partitions
        except KafkaException as error:
            raise unreachable(self._settings, error.args[0].str()) from error
        return {position.partition: max(0, position.offset) for position in found}

    def ends(self, topic: str) -> dict[int, int]:
        """Return the end offset of each partition, records of open transactions counted in."""
        return self._list(topic, OffsetSpec.latest())

    def starts(self, topic: str) -> dict[int, int]:
        """Return the first offset of each partition that retention has left."""
        return self._list(topic, OffsetSpec.earliest())

    def _list(self, topic: str, which: OffsetSpec) -> dict[int, int]:
        asked = {partition: which for partition in partitions_of(self._admin, topic, self._settings)}
        try:
            answers = self._admin.list_offsets(asked, request_timeout=self._settings.connect_timeout_s)
            return {partition.partition: answer.result().offset for partition, answer in answers.items()}
        except KafkaException as error:
            raise unreachable(self._settings, error.args[0].str()) from error


class KafkaLogReader:
    """Reads committed records with a consumer of its own for each call."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings

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
        for partition in [one for topic in topics for one in partitions_of(consumer, topic, self._settings)]:
            try:
                first, end = consumer.get_watermark_offsets(partition, timeout=timeout)
            except KafkaException as error:
                raise unreachable(self._settings, error.args[0].str()) from error
            if end > first:
                ends[partition.topic, partition.partition] = end
                start = OFFSET_BEGINNING if since_ms is None else since_ms
                begins.append(TopicPartition(partition.topic, partition.partition, start))
        if since_ms is not None and begins:
            begins = [
                begin for begin in consumer.offsets_for_times(begins, timeout=timeout) if begin.offset != OFFSET_END
            ]
            later = {(begin.topic, begin.partition) for begin in begins}
            ends = {place: end for place, end in ends.items() if place in later}
        consumer.assign(begins)
        return ends

    def _until(self, consumer: Consumer, ends: dict[tuple[str, int], int]) -> Iterator[Record]:
        heard = time.monotonic()
        while ends:
            messages = consumer.consume(500, timeout=0.5)
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > self._settings.connect_timeout_s:
                raise unreachable(self._settings, f"no records of {sorted({topic for topic, _ in ends})}")
            for message in messages:
                yield from self._within(message, ends)

    def _within(self, message: Message, ends: dict[tuple[str, int], int]) -> Iterator[Record]:
        error = message.error()
        place = (message.topic(), message.partition())
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                ends.pop(place, None)
            elif not error.retriable():
                raise unreachable(self._settings, error.str())
        elif place in ends:
            if message.offset() < ends[place]:
                yield to_record(message)
            if message.offset() >= ends[place] - 1:
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
        failures: list[KafkaError] = []

        def delivered(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failures.append(error)

        for emit in emits:
            produce(self._producer, emit, delivered)
        left = self._producer.flush(self._settings.delivery_timeout_ms / 1000 + 1)
        if failures or left:
            reason = failures[0].str() if failures else f"{left} records were not delivered"
            raise unreachable(self._settings, reason)

    def close(self) -> None:
        """Deliver what is left."""
        if self._producer is not None:
            self._producer.flush(self._settings.connect_timeout_s)


def produce(producer: Producer, emit: Emit, on_delivery: object) -> None:
    """Hand a record to the producer, waiting where its queue is full.

    Raises
    ------
    UsageError
        When the record is larger than the broker takes, or its topic cannot be.
    """
    while True:
        try:
            producer.produce(
                emit.topic, emit.value, emit.key, on_delivery=on_delivery, headers=list(emit.headers) or None
            )
        except BufferError:
            producer.poll(0.05)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE:
                size = len(emit.value or b"")
                raise UsageError(
                    f"a record of {size} bytes for topic {emit.topic!r} is over the bound of {MAX_MESSAGE_BYTES} bytes"
                ) from error
            raise DependencyUnavailable(f"topic {emit.topic!r} takes no record: {error.args[0].str()}") from error
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
        self._reader = KafkaLogReader(settings)
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
