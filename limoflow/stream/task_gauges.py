"""Tells an observer how far behind a worker of a task is, and what it holds."""

from __future__ import annotations

import time

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPosition

from limoflow.stream.observer import StreamObserver
from limoflow.stream.task_feed import TaskFeed
from limoflow.stream.types import TopicPartition

_EVERY_S = 1.0


class TaskGauges:
    """Tells lag, records in flight and partitions, at most once a second.

    The lag of a partition goes from what is committed to the end, so that a batch that hangs is part of it. A partition
    that went to another worker has none here.
    """

    def __init__(self, stage: str, observer: StreamObserver, feed: TaskFeed) -> None:
        self._stage = stage
        self._observer = observer
        self._feed = feed
        self._told: set[TopicPartition] = set()
        self._next = 0.0

    def tell(self, consumer: Consumer, in_flight: int) -> None:
        """Tell everything, unless that was done within the second.

        Parameters
        ----------
        in_flight : int
            Records that were fetched and are not committed.
        """
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY_S
        held = dict(self._feed.committed)
        for one in self._told - held.keys():
            self._observer.lag(self._stage, one.topic, one.partition, 0)
        self._told = set(held)
        for one, committed in held.items():
            marks = consumer.get_watermark_offsets(KafkaPosition(one.topic, one.partition), cached=True)
            if marks is not None:
                self._observer.lag(self._stage, one.topic, one.partition, max(0, marks[1] - committed))
        self._observer.in_flight(self._stage, in_flight)
        self._observer.assigned(self._stage, len(held))
