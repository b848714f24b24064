"""Reservoirs, fates and pool records."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.selector.distinct import DistinctFates, Fate
from services.selector.records import PoolKey, pool_partition
from services.selector.reservoir import Reservoir, Verdict
from services.selector.stored import packed, unpacked


def fill(k: int, ids: list[str], seed: int = 0) -> Reservoir[None]:
    reservoir: Reservoir[None] = Reservoir(k, seed)
    for sample_id in ids:
        reservoir.offer(sample_id, "v", None)
    return reservoir


def held(reservoir: Reservoir[None]) -> set[str]:
    return {it.id for it in reservoir}


@given(st.lists(st.integers(0, 200)), st.integers(1, 20), st.integers(1, 8), st.integers(0, 100))
def test_parts_merge_to_the_reservoir_of_the_whole(numbers: list[int], k: int, parts: int, shuffle: int) -> None:
    ids = [str(number) for number in numbers]
    whole = held(fill(k, ids))
    Random(shuffle).shuffle(ids)
    partial = [fill(k, ids[i::parts]) for i in range(parts)]
    assert held(fill(k, [sample_id for part in partial for sample_id in held(part)])) == whole
    assert len(whole) == min(k, len(set(ids)))


def test_each_id_is_as_likely_as_any_other() -> None:
    ids = [str(i) for i in range(40)]
    counts = dict.fromkeys(ids, 0)
    for seed in range(2_000):
        for sample_id in held(fill(10, ids, seed)):
            counts[sample_id] += 1
    chi_square = sum((count - 500) ** 2 / (500 * 0.75) for count in counts.values())
    assert chi_square < 72.1  # 39 degrees of freedom, p = 0.001


def test_the_smaller_version_of_an_id_stands() -> None:
    reservoir: Reservoir[str] = Reservoir(2, 0)
    assert reservoir.offer("a", "5", "five").verdict is Verdict.ENTERED
    assert reservoir.offer("a", "7", "seven").verdict is Verdict.SUPERSEDED
    replaced = reservoir.offer("a", "3", "three")
    assert (replaced.verdict, replaced.displaced.payload) == (Verdict.REPLACED, "five")
    assert reservoir.offer("a", "3", "three").verdict is Verdict.REPEATED
    assert [it.payload for it in reservoir] == ["three"]


def test_what_is_refused_lies_above_the_bound() -> None:
    reservoir = fill(5, [str(i) for i in range(50)])
    refused = next(str(i) for i in range(50) if str(i) not in held(reservoir))
    assert reservoir.offer(refused, "v", None).verdict is Verdict.REFUSED
    assert reservoir.key(refused) > reservoir.bound


def test_fates_are_exact_below_k_and_near_above() -> None:
    exact, sketch = DistinctFates(10_000), DistinctFates(1_000)
    for i in [*range(8_000), *range(4_000)]:
        fate = Fate("c", "r", "verifier/wrong" if i % 4 else "verifier/empty")
        exact.offer(str(i), fate)
        sketch.offer(str(i), fate)
    assert exact.exact
    assert exact.counts() == {("r", "verifier/empty"): 2_000, ("r", "verifier/wrong"): 6_000}
    assert not sketch.exact
    assert len(sketch) == 1_000
    assert sum(sketch.counts().values()) == pytest.approx(8_000, rel=0.1)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ab~"), st.sampled_from("rsd")), max_size=80),
    st.integers(2, 12),
    st.randoms(use_true_random=False),
)
def test_fates_do_not_depend_on_order_or_partition(offers: list[tuple[int, str, str]], k: int, random: Random) -> None:
    def sketch_of(items: list[tuple[str, Fate]]) -> DistinctFates:
        sketch = DistinctFates(k)
        for sample_id, fate in items:
            sketch.offer(sample_id, fate)
        return sketch

    items = [(str(number), Fate(content, kind, "x")) for number, content, kind in offers]
    whole = sketch_of(items)
    random.shuffle(items)
    parts = [sketch_of(items[i::3]) for i in range(3)]
    merged = sketch_of([item for part in parts for item in part])
    assert sorted(merged) == sorted(whole)


def test_a_refused_content_beats_the_same_content_scored_and_a_dead_letter_loses() -> None:
    fates = DistinctFates(10)
    fates.offer("x", Fate("~", "d", "scorer"))
    fates.offer("x", Fate("c", "s", ""))
    assert fates.fate("x").kind == "s"
    fates.offer("x", Fate("c", "r", "verifier/wrong"))
    assert fates.fate("x").kind == "r"
    fates.offer("x", Fate("b", "s", ""))
    assert fates.fate("x") == Fate("b", "s", "")


@given(st.text(min_size=1, max_size=30), st.integers(0, 10**6))
def test_pool_keys_round_trip_whatever_the_sample_id_holds(sample_id: str, window: int) -> None:
    key = PoolKey("run-1", window, "s", sample_id, "abc:def")
    assert PoolKey.decode(key.encode()) == key


def test_runs_are_spread_over_the_partitions() -> None:
    assert {pool_partition(f"run-{i}") for i in range(100)} == {0, 1, 2, 3}


@given(st.binary(max_size=9_000))
def test_stored_bytes_come_back(data: bytes) -> None:
    assert unpacked(packed(data)) == data
