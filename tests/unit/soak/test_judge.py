"""What counts as flat memory, as growing lag, and as silence."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.soak.judge import Sample, flatness, growth, rise, silence, slope, totals
from benchmarks.soak.plan import LONGEST_S, SHORTEST_S, faults
from tests.support.faults import VICTIMS

MINUTES = 60
MIB = 2**20


def lived(role: str, begin: float, end: float, start: float, leak: float, life: int = 1) -> list[Sample]:
    """A life of `start` bytes that leaks so many bytes a second, looked at every ten seconds."""
    times = [begin + 10.0 * step for step in range(int((end - begin) // 10))]
    return [Sample(at, role, life, at - begin, start + leak * (at - begin)) for at in times]


def test_a_leak_in_a_long_life_is_seen_and_a_level_line_is_none() -> None:
    leaking = lived("scorer", 0, 3600, 100 * MIB, 0.2 * MIB / 10)
    level = lived("selector", 0, 3600, 100 * MIB, 0)
    found = flatness([*leaking, *level], warm_up_s=600)
    assert found["scorer"].across == found["scorer"].within == pytest.approx(48 / 117, abs=0.02)
    assert (found["selector"].across, found["selector"].within) == (0, 0)
    assert found["selector"].median_bytes == 100 * MIB


def test_a_leak_that_restarts_hide_is_seen_within_the_longest_life() -> None:
    lives = lived("verifier", 0, 2700, 100 * MIB, MIB / 60, 1) + lived("verifier", 2700, 3600, 100 * MIB, MIB / 60, 2)
    found = flatness(lives, warm_up_s=600)["verifier"]
    assert found.across is not None
    assert found.across < 0.1, "the new process hides it"
    assert found.within is not None
    assert found.within > 0.2


def test_processes_that_have_just_begun_and_the_warm_up_do_not_count() -> None:
    warming = [Sample(at, "kafka", 1, at, 300 * MIB if at > 500 else 100 * MIB) for at in range(60, 3600, 10)]
    # Killed every 50 seconds, no process ever gets old enough.
    killed = [one for life in range(70) for one in lived("trainer", life * 50, life * 50 + 50, life * MIB, 0, life)]
    found = flatness([*warming, *killed], warm_up_s=600)
    assert found["kafka"].across == 0
    assert "trainer" not in found


def test_growth_needs_enough_points() -> None:
    assert growth([], 5) is None
    assert growth([(0, 1.0), (10, 1.0), (20, 1.0)], 5) is None
    assert rise([(0, 1.0)], 4) is None
    assert growth([(at, 0.0) for at in range(100)], 5) is None


def test_lag_that_comes_and_goes_does_not_grow_and_lag_that_stays_does() -> None:
    chance = random.Random(1)
    peaks = [(float(at), 500.0 if chance.random() < 0.2 else 3.0) for at in range(0, 3600, 10)]
    mounting = [(at, lag + at * 0.5) for at, lag in peaks]
    assert rise(peaks, 4) == 0
    assert slope(peaks) == pytest.approx(0, abs=1e-3)
    assert rise(mounting, 4) == pytest.approx(1350, rel=0.1)
    assert slope(mounting) == pytest.approx(0.5, rel=0.05)


@given(st.floats(-100, 100), st.floats(-1e6, 1e6), st.integers(2, 40))
def test_the_slope_of_a_line_is_its_slope(rate: float, start: float, count: int) -> None:
    assert slope([(at, start + rate * at) for at in range(count)]) == pytest.approx(rate, rel=1e-6, abs=1e-6)


def test_silence_is_work_that_waits_and_is_not_done() -> None:
    progress = [(0, 10, 5), (10, 10, 5), (20, 10, 9), (30, 12, 9), (40, 12, 0), (90, 12, 0), (100, 12, 4), (110, 13, 0)]
    assert silence(progress) == 20
    assert silence([(0, 5, 0), (100, 5, 0)]) == 0
    assert silence([(0, 5, 1), (100, 5, 1)]) == 100
    assert silence([]) == 0


def test_lags_add_up_at_each_moment() -> None:
    assert totals({"a": [(0, 1), (10, 2)], "b": [(0, 3), (10, 4)]}) == [(0, 4), (10, 6)]


def test_an_hour_of_faults_is_the_same_for_a_seed_and_holds_every_kind_and_victim() -> None:
    planned = faults(MINUTES * 60, every_s=30, seed=1)
    assert planned == faults(MINUTES * 60, every_s=30, seed=1) != faults(MINUTES * 60, every_s=30, seed=2)
    assert {one.victim for one in planned if one.kind == "kill"} == set(VICTIMS)
    assert {one.victim for one in planned if one.kind == "restart"} == {"kafka"}
    assert sum(one.kind == "slow" for one in planned) >= 8
    assert all(SHORTEST_S <= one.seconds <= LONGEST_S for one in planned if one.kind == "pause")
    assert all(first.at_s <= second.at_s <= MINUTES * 60 * 0.9 for first, second in pairwise(planned))
