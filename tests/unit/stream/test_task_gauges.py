"""What an observer hears of a worker of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest
from confluent_kafka import Consumer

from limoflow.stream import task_gauges
from limoflow.stream.observer import SilentObserver
from limoflow.stream.task_feed import TaskFeed
from limoflow.stream.task_gauges import TaskGauges
from limoflow.stream.types import TopicPartition
from tests.contract.stream.handlers import Chain

FIRST, SECOND = TopicPartition("in", 0), TopicPartition("in", 1)


class Heard(SilentObserver):
    def __init__(self) -> None:
        self.lags: dict[int, int] = {}
        self.gauges: list[tuple[str, int]] = []

    def lag(self, stage: str, topic: str, partition: int, records: int) -> None:
        self.lags[partition] = records

    def in_flight(self, stage: str, count: int) -> None:
        self.gauges.append(("in flight", count))

    def assigned(self, stage: str, partitions: int) -> None:
        self.gauges.append(("assigned", partitions))


class Marks:
    """As much of a consumer as is asked."""

    def __init__(self, ends: Mapping[int, int]) -> None:
        self._ends = ends

    def get_watermark_offsets(self, partition: Any, *, cached: bool) -> tuple[int, int] | None:
        assert cached, "the broker is not asked"
        end = self._ends.get(partition.partition)
        return None if end is None else (0, end)


@pytest.fixture
def feed() -> TaskFeed:
    return TaskFeed(Chain("a task", "in", "out", mode="group"))


def tell(gauges: TaskGauges, ends: Mapping[int, int], in_flight: int = 0) -> None:
    gauges.tell(cast(Consumer, Marks(ends)), in_flight)


def test_a_batch_in_hand_is_lag_until_it_is_committed(feed: TaskFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_gauges, "_EVERY_S", 0.0)
    heard = Heard()
    gauges = TaskGauges("a task", heard, feed)
    feed.start(FIRST, 10)
    feed.reached(FIRST, 15)
    tell(gauges, {0: 15}, in_flight=5)
    assert heard.lags == {0: 5}
    assert heard.gauges == [("in flight", 5), ("assigned", 1)]
    feed.note_commit()
    tell(gauges, {0: 15})
    assert heard.lags == {0: 0}


def test_a_partition_that_went_to_another_worker_has_no_lag_here(
    feed: TaskFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_gauges, "_EVERY_S", 0.0)
    heard = Heard()
    gauges = TaskGauges("a task", heard, feed)
    feed.start(FIRST, 0)
    feed.start(SECOND, 0)
    tell(gauges, {0: 7})
    assert heard.lags == {0: 7}, "nothing is known of the other's end yet"
    feed.forget([FIRST])
    tell(gauges, {1: 3})
    assert heard.lags == {0: 0, 1: 3}
    assert heard.gauges[-1] == ("assigned", 1)


def test_it_is_told_once_a_second(feed: TaskFeed) -> None:
    heard = Heard()
    gauges = TaskGauges("a task", heard, feed)
    for _ in range(3):
        tell(gauges, {})
    assert len(heard.gauges) == 2
