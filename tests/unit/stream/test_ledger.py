"""The ledger acknowledges the finished prefix and nothing beyond it, in whatever order records finish."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.stream.ledger import Entry, OrderedLedger
from limoflow.stream.types import TopicPartition

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)


def begun(ledger: OrderedLedger, partition: TopicPartition, offset: int) -> Entry:
    entry = ledger.begin(partition, offset)
    assert entry is not None
    return entry


@given(
    offsets=st.lists(st.integers(0, 10_000), unique=True, min_size=1, max_size=60).map(sorted),
    seed=st.integers(0, 2**32),
)
def test_any_order_of_completion_acknowledges_exactly_the_finished_prefix(offsets: list[int], seed: int) -> None:
    ledger = OrderedLedger(len(offsets))
    entries = [begun(ledger, P0, offset) for offset in offsets]
    unfinished = set(offsets)
    position = None
    for entry in random.Random(seed).sample(entries, len(entries)):
        ledger.finish(entry)
        unfinished.discard(entry.offset)
        moved = ledger.take()
        prefix = [offset for offset in offsets if not unfinished or offset < min(unfinished)]
        expected = prefix[-1] + 1 if prefix else None
        assert moved == ({} if expected == position else {P0: expected})
        position = expected
    assert position == offsets[-1] + 1
    assert ledger.pending == 0


@given(data=st.data())
def test_restarts_from_the_committed_offset_lose_nothing(data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 40))
    committed = 0
    done: set[int] = set()
    for _ in range(200):
        ledger = OrderedLedger(64)
        entries = [begun(ledger, P0, offset) for offset in range(committed, total)]
        finishing = data.draw(st.lists(st.sampled_from(entries), unique_by=id)) if entries else []
        for entry in finishing:
            ledger.finish(entry)
            done.add(entry.offset)
        committed = ledger.take().get(P0, committed)
        assert done >= set(range(committed)), "acknowledged past a record that no run has finished"
        if committed == total or not data.draw(st.booleans()):
            break


@given(st.lists(st.tuples(st.sampled_from([P0, P1]), st.integers(0, 9)), max_size=40))
def test_partitions_do_not_hold_up_each_other(arrivals: list[tuple[TopicPartition, int]]) -> None:
    ledger = OrderedLedger(100)
    kept = [entry for partition, offset in arrivals if (entry := ledger.begin(partition, offset)) and partition == P1]
    for entry in kept:
        ledger.finish(entry)
    assert ledger.take() == ({P1: kept[-1].offset + 1} if kept else {})


def test_repeats_within_one_assignment_are_passed_over() -> None:
    ledger = OrderedLedger(10)
    ledger.finish(begun(ledger, P0, 5))
    assert ledger.begin(P0, 5) is None
    assert ledger.begin(P0, 4) is None
    assert ledger.begin(P0, 6) is not None


def test_what_was_begun_before_a_revocation_acknowledges_nothing_after_it() -> None:
    ledger = OrderedLedger(2)
    old = begun(ledger, P0, 7)
    ledger.finish(begun(ledger, P0, 8))
    ledger.forget([P0])
    assert ledger.pending == 0
    fresh = begun(ledger, P0, 7)
    ledger.finish(old)
    assert ledger.take() == {}
    assert ledger.pending == 1
    ledger.finish(fresh)
    assert ledger.take() == {P0: 8}


def test_the_bound_is_kept() -> None:
    ledger = OrderedLedger(2)
    first = begun(ledger, P0, 0)
    second = begun(ledger, P1, 0)
    assert ledger.full
    with pytest.raises(OverflowError, match="2 records are in flight"):
        ledger.begin(P0, 1)
    ledger.finish(second)
    assert not ledger.full
    ledger.finish(first)
    assert ledger.pending == 0


def test_a_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        OrderedLedger(0)
