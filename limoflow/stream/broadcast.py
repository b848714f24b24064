"""Follows the broadcast topics: every worker sees all of their records, outside any group."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from limoflow.stream.kafka_errors import failure, quiet, to_record
from limoflow.stream.kafka_transport import partitions_of
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.types import Record
from limoflow.stream.vital_signs import vital_signs


class BroadcastReader:
    """Reads topics from their beginning and goes on for ever.

    Raises
    ------
    DependencyUnavailable, UsageError
        When the broker does not answer, or a topic does not exist.
    """

    def __init__(self, settings: BrokerSettings, topics: Sequence[str]) -> None:
        self._settings = settings
        self._unread: set[tuple[str, int]] = set()
        self._consumer: Consumer | None = None
        if topics:
            signs = vital_signs(f"the reader of {', '.join(topics)}")
            self._consumer = Consumer(settings.consumer(group_id="limoflow-broadcast", error_cb=quiet, **signs))
            found = [one for topic in topics for one in partitions_of(self._consumer, topic, settings)]
            self._unread = {(partition.topic, partition.partition) for partition in found}
            self._consumer.assign([TopicPartition(one.topic, one.partition, OFFSET_BEGINNING) for one in found])

    @property
    def at_end(self) -> bool:
        """Whether every partition has been read to its end once."""
        return not self._unread

    @property
    def idle(self) -> bool:
        """Whether there is nothing to follow."""
        return self._consumer is None

    def poll(self, timeout_s: float) -> list[Record]:
        """Return what is new, in the order of each partition, waiting at most that long."""
        if self._consumer is None:
            return []
        records = []
        for message in self._consumer.consume(500, timeout=timeout_s):
            error = message.error()
            if error is None:
                records.append(to_record(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                self._unread.discard((message.topic(), message.partition()))
            elif not error.retriable():
                raise failure(self._settings, error, f"topic {message.topic()!r}")
        return records

    def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            self._consumer.close()


class BroadcastThread:
    """Follows the broadcast topics in a thread of its own.

    Parameters
    ----------
    observe : callable
        Given every batch of records, in that thread.
    failed : callable
        Given the error that ends the thread before `stop`.
    """

    def __init__(
        self,
        reader: BroadcastReader,
        observe: Callable[[Sequence[Record]], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._reader = reader
        self._observe = observe
        self._failed = failed
        self._stopping = threading.Event()
        self._read = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="limoflow-broadcast", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def wait_at_end(self, timeout_s: float) -> bool:
        """Wait until the topics were read to their ends, all of it observed; say whether they are."""
        return self._read.wait(timeout_s)

    def stop(self) -> None:
        """End the thread and disconnect."""
        self._stopping.set()
        self._thread.join()

    def _follow(self) -> None:
        try:
            while not self._stopping.is_set():
                records = self._reader.poll(0.2)
                if records:
                    self._observe(records)
                if self._reader.at_end:
                    self._read.set()
                if self._reader.idle:
                    return
        except Exception as error:  # noqa: BLE001 - handed to the thread that decides
            self._failed(error)
        finally:
            self._reader.close()
