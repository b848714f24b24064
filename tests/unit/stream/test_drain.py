"""The drain barrier never says done while a record of the window is unprocessed."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limoflow.stream.drain import DrainBarrier, Hop
from limoflow.stream.types import TopicPartition

PARTITIONS = 3


class Pipeline:
    """Stages that read, write and commit at random; each record tells whether it is of the window."""

    def __init__(self, seed: int, stages: int, rows: int) -> None:
        self.random = random.Random(seed)
        self.topics = [f"t{number}" for number in range(stages + 1)]
        self.logs: dict[str, list[list[bool]]] = {topic: [[] for _ in range(PARTITIONS)] for topic in self.topics}
        self.read = {topic: [0] * PARTITIONS for topic in self.topics}
        self.deleted = {topic: [0] * PARTITIONS for topic in self.topics}
        self.stages = stages
        for _ in range(rows):
            self.write(0, True)
        self.window_ends = {TopicPartition("t0", one): len(log) for one, log in enumerate(self.logs["t0"])}

    def write(self, stage: int, of_window: bool) -> None:
        self.random.choice(self.logs[self.topics[stage]]).append(of_window)

    def step(self) -> None:
        """Let a newer window flow in, one stage handle one record, or retention delete what all have read."""
        stage = self.random.randrange(self.stages)
        topic, partition = self.topics[stage], self.random.randrange(PARTITIONS)
        log, at = self.logs[topic][partition], self.read[topic][partition]
        if self.random.random() < 0.2:
            self.write(0, False)
        if at < len(log):
            for _ in range(self.random.randrange(3)):
                self.write(stage + 1, log[at])
            self.read[topic][partition] += 1
        if self.random.random() < 0.05:
            self.deleted[topic][partition] = self.read[topic][partition]

    def unprocessed(self) -> int:
        return sum(
            of_window
            for topic in self.topics[:-1]
            for log, at in zip(self.logs[topic], self.read[topic], strict=True)
            for of_window in log[at:]
        )

    def committed(self, group: str, topic: str) -> dict[int, int]:
        assert group == f"g{topic[1:]}"
        return dict(enumerate(self.read[topic]))

    def ends(self, topic: str) -> dict[int, int]:
        return {one: len(log) for one, log in enumerate(self.logs[topic])}

    def starts(self, topic: str) -> dict[int, int]:
        return dict(enumerate(self.deleted[topic]))


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), stages=st.integers(1, 4), rows=st.integers(0, 12), restarts=st.integers(0, 3))
def test_done_means_that_nothing_of_the_window_is_left(seed: int, stages: int, rows: int, restarts: int) -> None:
    pipeline = Pipeline(seed, stages, rows)
    chain = [Hop((f"t{number}",), f"g{number}") for number in range(stages)]
    barrier = DrainBarrier(chain, pipeline.window_ends)
    for _ in range(20_000):
        if barrier.advance(pipeline):
            break
        if restarts and pipeline.random.random() < 0.05:
            restarts -= 1
            barrier = DrainBarrier(chain, pipeline.window_ends)
        pipeline.step()
    assert barrier.waiting_for is None, "the barrier never opened"
    assert pipeline.unprocessed() == 0


class Fixed:
    def __init__(self, committed: dict[int, int], ends: dict[int, int], starts: dict[int, int]) -> None:
        self._committed, self._ends, self._starts = committed, ends, starts

    def committed(self, group: str, topic: str) -> dict[int, int]:
        return self._committed

    def ends(self, topic: str) -> dict[int, int]:
        return self._ends

    def starts(self, topic: str) -> dict[int, int]:
        return self._starts


def test_one_record_behind_holds_the_barrier() -> None:
    barrier = DrainBarrier([Hop(("t",), "g")], {TopicPartition("t", 0): 5, TopicPartition("t", 1): 0})
    assert not barrier.advance(Fixed({0: 4, 1: 0}, {0: 5, 1: 0}, {0: 0, 1: 0}))
    assert barrier.waiting_for == Hop(("t",), "g")
    assert barrier.advance(Fixed({0: 5, 1: 0}, {0: 9, 1: 0}, {0: 0, 1: 0}))


def test_what_retention_has_deleted_is_waited_for_no_more() -> None:
    barrier = DrainBarrier([Hop(("t",), "g")], {TopicPartition("t", 0): 5})
    assert not barrier.advance(Fixed({0: 0}, {0: 5}, {0: 4}))
    assert barrier.advance(Fixed({0: 0}, {0: 5}, {0: 5}))


def test_the_ends_of_a_hop_are_those_of_the_moment_when_the_hop_before_it_passed() -> None:
    barrier = DrainBarrier([Hop(("a",), "g"), Hop(("b",), "h")], {TopicPartition("a", 0): 1})
    assert not barrier.advance(Fixed({0: 1}, {0: 3}, {0: 0}))
    assert not barrier.advance(Fixed({0: 2}, {0: 9}, {0: 0}))
    assert barrier.advance(Fixed({0: 3}, {0: 9}, {0: 0}))


def test_a_chain_without_hops_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one hop"):
        DrainBarrier([], {})
