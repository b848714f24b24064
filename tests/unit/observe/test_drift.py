"""The population stability index, and whose windows it compares."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limoflow.observe.drift import BINS, IDLE_S, LEAST, DriftWatch, psi

HISTOGRAM = st.lists(st.integers(0, 10_000), min_size=BINS, max_size=BINS)


@given(HISTOGRAM, HISTOGRAM)
def test_it_is_at_least_0_symmetric_and_0_for_the_same(one: list[int], other: list[int]) -> None:
    assert psi(one, other) >= 0
    assert psi(one, other) == pytest.approx(psi(other, one))
    assert psi(one, one) == 0


def test_a_known_value() -> None:
    # By hand, without the half samples weighing much: (0.6-0.5) ln(0.6/0.5) + (0.4-0.5) ln(0.4/0.5).
    assert psi([500_000, 500_000], [600_000, 400_000]) == pytest.approx(0.0405, abs=1e-3)


def fill(watch: DriftWatch, run: str, window: int, value: float, count: int = LEAST) -> float | None:
    return [watch.take(run, window, "quality", value) for _ in range(count)][-1]


def test_windows_of_a_run_are_held_against_its_first_and_never_against_another_run() -> None:
    watch = DriftWatch()
    assert fill(watch, "a", 3, 0.2) is None
    assert fill(watch, "b", 0, 0.9) is None
    assert fill(watch, "a", 4, 0.2, LEAST - 1) is None
    index = fill(watch, "a", 4, 0.2, 1)
    assert index is not None
    assert index < 0.01
    moved = fill(watch, "a", 5, 0.9)
    assert moved is not None
    assert moved > 0.25


def test_a_late_sample_of_an_old_window_changes_nothing_and_odd_values_are_taken() -> None:
    watch = DriftWatch()
    fill(watch, "a", 0, 0.2)
    fill(watch, "a", 1, 0.9)
    before = fill(watch, "a", 2, 0.2)
    assert fill(watch, "a", 1, 0.9, 50) == before
    for value in (float("nan"), float("inf"), -1.0, 7.0):
        watch.take("a", 2, "quality", value)


@given(st.integers(LEAST, 400), st.integers(LEAST, 400), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_windows_that_differ_by_chance_are_far_from_an_alert(first: int, second: int, chance: random.Random) -> None:
    watch = DriftWatch()
    index = None
    for window, count in ((0, first), (1, second)):
        for _ in range(count):
            index = watch.take("a", window, "quality", chance.random())
    assert index is not None
    assert 0.0 <= index < 0.15


def test_the_worst_run_of_the_last_hour_counts() -> None:
    now = 0.0
    watch = DriftWatch(lambda: now)
    assert math.isnan(watch.worst("quality"))
    for run, moved in (("calm", 0.2), ("moved", 0.9)):
        fill(watch, run, 0, 0.2)
        fill(watch, run, 1, moved)
    assert watch.worst("quality") > 0.25
    assert math.isnan(watch.worst("depth"))
    now = IDLE_S
    fill(watch, "calm", 1, 0.2, 1)
    now += 1.0
    assert watch.worst("quality") == 0.0


def test_memory_is_bounded_by_the_number_of_runs() -> None:
    watch = DriftWatch()
    for number in range(100):
        watch.take(str(number), 0, "quality", 0.5)
    assert len(watch._held) <= 16
