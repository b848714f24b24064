"""Reservoirs: their statistics against theory (chi-square, fixed seeds), and exact merges whatever the order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from services.selector.reservoir import Reservoir
from services.selector.reservoirs.sliding import SlidingReservoir
from services.selector.reservoirs.stratified import allocate
from services.selector.reservoirs.weighted import WeightedReservoir, weighted_key

DRAWS = 1_500


def chi_square(seen: Sequence[float], expected: Sequence[float], variances: Sequence[float] | None = None) -> float:
    """Return the p-value; inclusion counts of k of n are not multinomial, so their variance is given."""
    spread = np.array(variances if variances is not None else expected)
    statistic = float((np.square(np.array(seen) - np.array(expected)) / spread).sum())
    return float(chi2.sf(statistic, len(seen) - 1))


def test_uniform_bottom_k_holds_each_id_equally_often() -> None:
    seen = dict.fromkeys((f"id{i}" for i in range(40)), 0)
    for seed in range(DRAWS):
        reservoir: Reservoir[None] = Reservoir(10, seed)
        for name in seen:
            reservoir.offer(name, "v", None)
        for held in reservoir:
            seen[held.id] += 1
    share = 10 / 40
    # Sampling without replacement: the covariances make sum (O-E)^2 / (E (1-f)) x (n-1)/n chi-square with n-1 degrees.
    variances = [DRAWS * share * (1 - share) * 40 / 39] * 40
    assert chi_square(list(seen.values()), [DRAWS * share] * 40, variances) > 0.001


def test_weighted_first_draw_is_in_proportion_to_the_weight() -> None:
    weights = {f"id{i}": 1.0 + i for i in range(12)}
    seen = dict.fromkeys(weights, 0)
    for seed in range(DRAWS):
        reservoir: WeightedReservoir[None] = WeightedReservoir(1, seed)
        for name, weight in weights.items():
            reservoir.offer(name, weight, None)
        seen[next(iter(reservoir)).id] += 1
    whole = sum(weights.values())
    assert chi_square(list(seen.values()), [DRAWS * weight / whole for weight in weights.values()]) > 0.001


def test_weighted_inclusion_is_that_of_successive_draws() -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 6.0}
    expected = dict.fromkeys(weights, 0.0)
    for order in permutations(weights, 2):
        chance = weights[order[0]] / 12.0 * weights[order[1]] / (12.0 - weights[order[0]])
        for name in order:
            expected[name] += chance
    seen = dict.fromkeys(weights, 0)
    for seed in range(DRAWS):
        reservoir: WeightedReservoir[None] = WeightedReservoir(2, seed)
        for name, weight in weights.items():
            reservoir.offer(name, weight, None)
        for held in reservoir:
            seen[held.id] += 1
    for name, count in seen.items():
        spread = math.sqrt(DRAWS * expected[name] * (1 - expected[name]))
        assert abs(count - DRAWS * expected[name]) < 4 * spread


def test_the_sliding_sample_is_uniform_over_the_window_and_small_in_memory() -> None:
    seen = np.zeros(60)
    for seed in range(DRAWS):
        reservoir: SlidingReservoir[None] = SlidingReservoir(5, 60.0, seed)
        for place in range(100):
            reservoir.offer(f"id{place}", float(place), None)
        for item in reservoir.sample():
            seen[int(item.place) - 40] += 1
    share = 5 / 60
    assert chi_square(seen.tolist(), [DRAWS * share] * 60, [DRAWS * share * (1 - share) * 60 / 59] * 60) > 0.001
    large: SlidingReservoir[None] = SlidingReservoir(50, 20_000.0, 0)
    for place in range(40_000):
        large.offer(f"id{place}", float(place), None)
    assert len(large) < 2 * 50 * (1 + math.log(20_000 / 50))


OFFERS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 15)), min_size=1, max_size=120)


@given(OFFERS, st.integers(1, 12), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_every_split_order_and_repeat_gives_the_same_state(
    offers: list[tuple[int, int]], k: int, random: Random
) -> None:
    parts = [offer for offer in offers for _ in range(random.randrange(1, 3))]
    random.shuffle(parts)
    count = random.randrange(1, 17)
    uniform = [Reservoir[int](k, 1) for _ in range(count)]
    weighted = [WeightedReservoir[int](k, 1) for _ in range(count)]
    sliding = [SlidingReservoir[int](k, 20.0, 1) for _ in range(count)]
    for number, _ in parts:
        part = random.randrange(count)
        uniform[part].offer(f"{number}", "v", number)
        # Weight and place belong to the id.
        weighted[part].offer(f"{number}", number % 7 / 2.0, number)
        sliding[part].offer(f"{number}", float(number), number)
    for reservoirs in (uniform, weighted, sliding):
        random.shuffle(reservoirs)
    for part in range(1, count):
        for held in uniform[part]:
            uniform[0].offer(*held)
        weighted[0].merge(weighted[part])
        sliding[0].merge(sliding[part])
    numbers = sorted({number for number, _ in offers})
    assert {held.id for held in uniform[0]} == set(
        sorted(map(str, numbers), key=lambda name: (uniform[0].key(name), name))[:k]
    )
    best = sorted((n for n in numbers if n % 7), key=lambda n: -weighted_key(1, f"{n}", n % 7 / 2.0))[:k]
    assert [held.payload for held in weighted[0]] == best
    everything = SlidingReservoir[int](len(numbers), 20.0, 1)
    for number in numbers:
        everything.offer(f"{number}", float(number), number)
    assert sliding[0].sample() == everything.sample()[:k]


def test_bad_weights_and_foreign_reservoirs_are_refused() -> None:
    reservoir: WeightedReservoir[None] = WeightedReservoir(2, 0)
    assert not reservoir.offer("a", 0.0, None)
    for weight in (math.nan, math.inf, -1.0):
        with pytest.raises(ValueError, match="'a' must be a finite number"):
            reservoir.offer("a", weight, None)
    reservoir.offer("a", 1.0, None)
    with pytest.raises(ValueError, match=r"had 1\.0 before"):
        reservoir.offer("a", 2.0, None)
    with pytest.raises(ValueError, match="same seed"):
        reservoir.merge(WeightedReservoir(2, 1))
    with pytest.raises(ValueError, match="same k, span and seed"):
        SlidingReservoir[None](2, 1.0, 0).merge(SlidingReservoir(2, 2.0, 0))


def test_allocations_are_what_they_say() -> None:
    sizes = {"a": 600, "b": 300, "c": 100}
    assert allocate(50, sizes) == {"a": 30, "b": 15, "c": 5}
    assert allocate(51, sizes, "equal") == {"a": 17, "b": 17, "c": 17}
    assert allocate(44, sizes, "neyman", spreads={"a": 0.1, "b": 0.4, "c": 0.4}) == {"a": 12, "b": 24, "c": 8}
    assert allocate(40, sizes, "fixed", shares={"a": 1, "b": 3}) == {"a": 10, "b": 30, "c": 0}
    # The cap and the size bind, the rest is redistributed in the shares of the others.
    assert allocate(300, sizes, "equal", caps={"a": 50}) == {"a": 50, "b": 150, "c": 100}
    assert allocate(5_000, sizes) == sizes
    assert allocate(10, {"a": 5, "b": 0}, "equal") == {"a": 5, "b": 0}
    assert allocate(10, sizes, "neyman", spreads={}) == allocate(10, sizes)
    # Strata without a spread come last, not never.
    assert allocate(190, sizes, "neyman", spreads={"c": 0.4}) == {"a": 60, "b": 30, "c": 100}
    with pytest.raises(ValueError, match="not all be 0"):
        allocate(10, sizes, "fixed", shares={"a": 0.0})
    with pytest.raises(ValueError, match=r"spreads\['a'\]"):
        allocate(10, sizes, "neyman", spreads={"a": math.nan})


def test_neyman_estimates_a_mean_better_than_proportion() -> None:
    random = np.random.default_rng(0)
    strata = {"calm": random.normal(0.2, 0.01, 900), "wild": random.normal(0.7, 0.3, 300)}
    sizes = {name: len(values) for name, values in strata.items()}
    spreads = {name: float(values.std()) for name, values in strata.items()}
    errors = {}
    for allocation in ("proportional", "neyman"):
        counts = allocate(60, sizes, allocation, spreads=spreads)
        estimates = [
            sum(sizes[name] * random.choice(strata[name], counts[name]).mean() for name in strata) / 1_200
            for _ in range(400)
        ]
        errors[allocation] = float(np.std(estimates))
    assert errors["neyman"] < 0.75 * errors["proportional"]
