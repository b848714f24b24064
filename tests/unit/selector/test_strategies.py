"""Every strategy against a slow, obvious reference, and the promises that all of them hold to."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.selector.diversity import LENGTH, whole_number_vectors
from services.selector.strategies.apart import Terms, choose_apart
from services.selector.strategies.cells import NO_QUOTA_IN_CELL, choose_in_cells
from services.selector.strategies.cluster_pick import middle_picks
from services.selector.strategies.clusters import cluster
from services.selector.strategies.density import DoubleDensity
from services.selector.strategies.dpp import DeterminantalPointProcess
from services.selector.strategies.facility_location import Coverage, FacilityLocation, similarities
from services.selector.strategies.interface import NO_QUOTA, SQUARE, Choice, Pool
from services.selector.strategies.k_center import KCenter
from services.selector.strategies.mmr import MaximalMarginalRelevance
from services.selector.strategies.plain import TopScore
from services.selector.strategies.registry import known_strategies, strategy_of
from services.selector.strategies.representation import RepresentationFilter
from services.selector.strategies.semdedup import SemanticDeduplication
from services.selector.strategies.sieve import sieve

NAMES = known_strategies()


def pool_of(
    size: int,
    target: int,
    *,
    seed: int = 0,
    dimensions: int = 8,
    strata: int = 1,
    spread: float = 0.5,
    quotas: list[int] | None = None,
) -> Pool:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((max(1, size // 8), dimensions))
    vectors = centres[random.integers(0, len(centres), size)] + spread * random.standard_normal((size, dimensions))
    vectors *= LENGTH / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Pool(
        tuple(f"{index:06d}" for index in range(size)),
        np.rint(vectors).astype(np.float32),
        # Few different scores, so that there are ties.
        random.integers(0, 20, size) / 20.0,
        random.integers(0, strata, size),
        np.array(quotas or [target] * strata),
        seed,
    )


def indexes(choice: Choice) -> list[int]:
    return [pick.index for pick in choice.picks]


def cosines_of(pool: Pool) -> np.ndarray:
    wide = pool.vectors.astype(np.float64)
    return wide @ wide.T / SQUARE


# -- the promises of all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@given(
    size=st.integers(0, 60),
    seed=st.integers(0, 50),
    quotas=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    alike=st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_every_item_is_chosen_once_or_refused_with_a_reason_and_quotas_are_never_exceeded(
    name: str, size: int, seed: int, quotas: list[int], alike: bool
) -> None:
    pool = pool_of(size, 0, seed=seed, strata=len(quotas), quotas=quotas)
    if alike and size:
        # All samples alike, and strata that are empty or ask for more than there is.
        pool = Pool(pool.ids, pool.vectors[[0] * size], np.full(size, 0.5), pool.strata, pool.quotas, seed)
    choice = strategy_of(name, {}).choose(pool)
    chosen = indexes(choice)
    assert len(set(chosen)) == len(chosen)
    assert set(chosen).isdisjoint(choice.left)
    assert set(chosen) | set(choice.left) == set(range(size))
    counts = np.bincount(pool.strata[chosen], minlength=len(quotas)) if chosen else np.zeros(len(quotas))
    assert (counts <= pool.quotas).all()
    if name not in ("representation_filter", "semdedup"):
        assert len(chosen) == pool.target
    for index, why in choice.left.items():
        assert why.reason
        assert (why.reason == NO_QUOTA) == (pool.quotas[pool.strata[index]] == 0) or why.nearest is not None
    assert all(math.isfinite(pick.gain) for pick in choice.picks)


@pytest.mark.parametrize("name", NAMES)
def test_a_choice_names_ids_not_places(name: str) -> None:
    """The same items under other places (further items of no quota before them) are chosen in the same order."""
    pool = pool_of(80, 12, seed=3)
    extended = Pool(
        ("!0", "!1", *pool.ids),
        np.concatenate((pool.vectors[:2], pool.vectors)),
        np.concatenate(([0.9, 0.1], pool.scores)),
        np.concatenate(([1, 1], pool.strata)),
        np.array([12, 0]),
        pool.seed,
    )
    here = [pool.ids[index] for index in indexes(strategy_of(name, {}).choose(pool))]
    there = [extended.ids[index] for index in indexes(strategy_of(name, {}).choose(extended))]
    assert "!0" not in there
    assert "!1" not in there
    if name in ("top_score", "random", "k_center", "mmr", "representation_filter", "dpp"):
        # The others look at all items, also at those that they may not choose.
        assert there == here


@pytest.mark.parametrize("name", ["k_center", "mmr", "facility_location"])
def test_who_is_refused_gains_no_more_than_the_last_one_chosen(name: str) -> None:
    pool = pool_of(300, 30, seed=5, strata=2)
    choice = strategy_of(name, {}).choose(pool)
    assert all(why.value <= why.bound for why in choice.left.values())
    gains = [pick.gain for pick in choice.picks if pool.strata[pick.index] == 0][1:]
    assert gains == sorted(gains, reverse=True)


def test_a_pool_that_breaks_its_promises_is_refused() -> None:
    pool = pool_of(4, 2)
    with pytest.raises(ValueError, match="ascending"):
        Pool(pool.ids[::-1], pool.vectors, pool.scores, pool.strata, pool.quotas)
    with pytest.raises(ValueError, match="finite"):
        Pool(pool.ids, pool.vectors, np.array([0.1, np.nan, 0.2, 0.3]), pool.strata, pool.quotas)
    with pytest.raises(ValueError, match="as many"):
        Pool(pool.ids, pool.vectors[:3], pool.scores, pool.strata, pool.quotas)
    with pytest.raises(ValueError, match="quota"):
        Pool(pool.ids, pool.vectors, pool.scores, pool.strata, np.array([-1]))


def test_unknown_names_and_parameters_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'k_centre' is unknown; known: .*k_center"):
        strategy_of("k_centre", {})
    with pytest.raises(ValueError, match=r"relevance: .*less than 1.*known: relevance"):
        strategy_of("mmr", {"relevance": 1.5})
    with pytest.raises(ValueError, match=r"lambda: Extra inputs.*known: relevance"):
        strategy_of("mmr", {"lambda": 0.5})


# -- against references -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_representation_filter_is_the_sequential_definition(seed: int) -> None:
    pool = pool_of(700, 300, seed=seed)
    kept: list[int] = []
    cosines = cosines_of(pool)
    for index in sorted(range(len(pool)), key=lambda it: (-pool.scores[it], it)):
        if len(kept) < 300 and (not kept or cosines[index, kept].max() <= 0.9):
            kept.append(index)
    assert indexes(RepresentationFilter().choose(pool)) == kept


@given(st.integers(0, 10_000), st.floats(0.2, 0.99))
@settings(max_examples=25, deadline=None)
def test_the_representation_filter_decides_by_the_recorded_embeddings(seed: int, bound: float) -> None:
    """Whole-number vectors are off by 1e-4: near the bound the recorded ones decide, as in the plain definition."""
    random = np.random.default_rng(seed)
    recorded = (random.standard_normal((150, 4)) + 0.7).astype(np.float16)
    pool = pool_of(150, 150, seed=seed, dimensions=4)
    vectors = whole_number_vectors(list(recorded), 4)
    pool = Pool(pool.ids, vectors, pool.scores, pool.strata, pool.quotas, seed, recorded)
    wide = recorded.astype(np.float64)
    cosines = wide @ wide.T / np.linalg.norm(wide, axis=1)[:, None] / np.linalg.norm(wide, axis=1)
    kept: list[int] = []
    for index in pool.best_first().tolist():
        if not kept or cosines[index, kept].max() <= bound:
            kept.append(index)
    assert indexes(RepresentationFilter(max_cosine=bound).choose(pool)) == kept


@pytest.mark.parametrize("seed", range(6))
def test_k_center_is_gonzalez_and_within_twice_the_optimum(seed: int) -> None:
    pool = pool_of(12, 3, seed=seed, dimensions=3)
    wide = pool.vectors.astype(np.float64)
    distances = np.sqrt(np.square(wide[:, None] - wide[None]).sum(axis=2))
    optimum = min(distances[:, list(centres)].min(axis=1).max() for centres in combinations(range(12), 3))
    chosen = indexes(KCenter().choose(pool))
    assert distances[:, chosen].min(axis=1).max() <= 2.0 * optimum
    naive = [int(pool.best_first()[0])]
    while len(naive) < 3:
        naive.append(int(distances[:, naive].min(axis=1).argmax()))
    assert chosen == naive


def _naive_apart(pool: Pool, terms: Terms, count: int) -> list[int]:
    products = pool.vectors.astype(np.float64) @ pool.vectors.astype(np.float64).T
    nearness = terms.scale * products - terms.toll[None, :]
    chosen = [int(pool.best_first()[0])]
    while len(chosen) < count:
        values = terms.base - nearness[:, chosen].max(axis=1)
        values[chosen] = -np.inf
        chosen.append(int(values.argmax()))
    return chosen


@pytest.mark.parametrize("relevance", [0.0, 0.3, 0.9])
def test_mmr_is_the_naive_greedy_also_beyond_one_head(relevance: float) -> None:
    pool = pool_of(1_500, 400, seed=2, dimensions=16)
    terms = Terms(relevance * pool.scores, np.zeros(len(pool)), (1.0 - relevance) / SQUARE)
    naive = _naive_apart(pool, terms, 400)
    assert indexes(choose_apart(pool, terms)) == naive
    assert indexes(MaximalMarginalRelevance(relevance=relevance).choose(pool)) == naive


def _value(pool: Pool, chosen: list[int]) -> float:
    return float(np.maximum(cosines_of(pool)[:, chosen], 0.0).max(axis=1).sum())


def _exact_greedy(pool: Pool, count: int) -> list[int]:
    similar = np.maximum(cosines_of(pool), 0.0)
    covered, chosen = np.zeros(len(pool)), []
    for _ in range(count):
        gains = np.maximum(similar - covered[:, None], 0.0).sum(axis=0)
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()))
        covered = np.maximum(covered, similar[:, chosen[-1]])
    return chosen


def test_lazy_facility_location_is_exact_greedy_and_the_others_come_close() -> None:
    pool = pool_of(500, 40, seed=1, dimensions=24)
    exact = _value(pool, _exact_greedy(pool, 40))
    lazy = FacilityLocation().choose(pool)
    assert _value(pool, indexes(lazy)) >= 0.999 * exact
    assert sum(pick.gain for pick in lazy.picks) * len(pool) == pytest.approx(_value(pool, indexes(lazy)), rel=1e-6)
    stochastic = FacilityLocation(method="stochastic", epsilon=0.01).choose(pool)
    assert _value(pool, indexes(stochastic)) >= 0.97 * exact
    # The sieve alone, before lazy greedy fills what it left open.
    alone = sieve(pool, Coverage(similarities(pool.vectors)), 0.1)
    assert len(alone) <= 40
    assert _value(pool, alone) >= 0.93 * exact


def test_greedy_dpp_is_the_naive_determinant_greedy() -> None:
    pool = pool_of(40, 9, seed=4, dimensions=6)
    strategy = DeterminantalPointProcess(relevance=0.6, bandwidth=0.4)
    quality = strategy.quality(pool)
    kernel = quality[:, None] * quality[None] * np.exp((cosines_of(pool) - 1.0) / 0.4)
    np.fill_diagonal(kernel, quality**2)
    naive: list[int] = []
    for _ in range(9):
        free = [index for index in range(40) if index not in naive]
        volumes = [np.linalg.slogdet(kernel[np.ix_([*naive, i], [*naive, i])])[1] for i in free]
        naive.append(free[int(np.argmax(volumes))])
    choice = strategy.choose(pool)
    assert indexes(choice) == naive
    volume = np.linalg.slogdet(kernel[np.ix_(naive, naive)])[1]
    assert sum(pick.gain for pick in choice.picks) == pytest.approx(volume, rel=1e-6)


@pytest.mark.parametrize("keep", ["hard", "easy"])
def test_semdedup_drops_what_resembles_an_earlier_one_even_a_dropped_one(keep: str) -> None:
    pool = pool_of(400, 400, seed=6, spread=0.2)
    labels, centroids = cluster(pool, 2)
    cosines = cosines_of(pool)
    dropped = set()
    for label in set(labels.tolist()):
        near = pool.vectors.astype(np.float64) @ centroids[label].astype(np.float64)
        sign = 1.0 if keep == "hard" else -1.0
        order = sorted(np.flatnonzero(labels == label).tolist(), key=lambda it, s=sign, n=near: (s * n[it], it))
        dropped |= {it for place, it in enumerate(order) if place and cosines[it, order[:place]].max() > 0.97}
    choice = SemanticDeduplication(epsilon=0.03, items_per_cluster=200, keep=keep).choose(pool)
    assert {it for it, why in choice.left.items() if why.reason == "semantic_duplicate"} == dropped
    assert set(indexes(choice)) == set(range(400)) - dropped


def test_the_middle_of_a_cluster_is_picked_as_the_authors_do() -> None:
    members = np.arange(100, 120)
    figures = np.arange(20.0)
    # P25 = 4.75 and P75 = 14.25: 5 to 14 remain, of which every (10 // 3)-rd.
    assert middle_picks(members, figures, 3, 25.0, 75.0).tolist() == [105, 108, 111]
    assert middle_picks(members, figures, 15, 25.0, 75.0).tolist() == list(range(105, 115))
    assert middle_picks(members[:5], figures[:5], 15, 25.0, 75.0).tolist() == list(range(100, 105))


def test_double_density_draws_as_often_as_it_says() -> None:
    pool = pool_of(30, 1, seed=8)
    strategy = DoubleDensity(items_per_cluster=6)
    assert strategy.chances(pool).sum() == pytest.approx(1.0)
    draws, expected = np.zeros(30), np.zeros(30)
    for seed in range(1_500):
        seeded = Pool(pool.ids, pool.vectors, pool.scores, pool.strata, pool.quotas, seed)
        draws[indexes(strategy.choose(seeded))[0]] += 1
        expected += strategy.chances(seeded)
    statistic = float((np.square(draws - expected) / expected).sum())
    # The 99.9 % point of chi-square with 29 degrees of freedom.
    assert statistic < 58.3


def test_a_lone_stranger_is_likelier_to_be_drawn_than_one_of_a_crowd() -> None:
    vectors = np.zeros((41, 8), dtype=np.float32)
    vectors[:, 0] = LENGTH
    vectors[40] = [0, LENGTH, 0, 0, 0, 0, 0, 0]
    pool = Pool(tuple(f"{i:02d}" for i in range(41)), vectors, np.ones(41), np.zeros(41, dtype=int), np.array([1]))
    chances = DoubleDensity().chances(pool)
    assert chances[40] > 10 * chances[0]


@pytest.mark.parametrize("name", ["facility_location", "dpp", "dendis"])
def test_a_pool_in_cells_gets_its_quotas_exactly(name: str) -> None:
    pool = pool_of(900, 0, seed=9, strata=3, quotas=[50, 7, 999])
    inner = strategy_of(name, {})._choose  # type: ignore[attr-defined]
    choice = choose_in_cells(pool, inner, limit=100)
    counts = np.bincount(pool.strata, minlength=3)
    chosen = np.bincount(pool.strata[indexes(choice)], minlength=3)
    assert chosen.tolist() == [50, 7, int(counts[2])]
    assert set(indexes(choice)) | set(choice.left) == set(range(900))


def test_a_cell_too_small_for_a_part_of_a_quota_says_so() -> None:
    pool = pool_of(900, 0, seed=9, strata=2, quotas=[3, 0])
    left = choose_in_cells(pool, FacilityLocation()._choose, limit=100).left
    reasons = [{why.reason for it, why in left.items() if pool.strata[it] == stratum} for stratum in (0, 1)]
    assert NO_QUOTA not in reasons[0]
    assert NO_QUOTA_IN_CELL in reasons[0]
    assert reasons[1] == {NO_QUOTA}
    assert all(why.value is not None and why.bound is not None for why in left.values())


def test_cells_cost_little_coverage() -> None:
    pool = pool_of(600, 60, seed=10, dimensions=24, spread=0.3)
    whole = _value(pool, indexes(FacilityLocation().choose(pool)))
    cells = _value(pool, indexes(choose_in_cells(pool, FacilityLocation()._choose, limit=150)))
    uniform = _value(pool, indexes(strategy_of("random", {}).choose(pool)))
    assert cells >= 0.98 * whole
    assert cells > uniform


def test_dendis_covers_small_groups_that_chance_misses() -> None:
    random = np.random.default_rng(0)
    centres = np.eye(12)
    labels = np.concatenate((np.zeros(400, dtype=int), np.repeat(np.arange(1, 12), 3)))
    vectors = centres[labels] + 0.02 * random.standard_normal((len(labels), 12))
    vectors *= LENGTH / np.linalg.norm(vectors, axis=1, keepdims=True)
    pool = Pool(
        tuple(f"{i:04d}" for i in range(len(labels))),
        np.rint(vectors).astype(np.float32),
        np.full(len(labels), 0.5),
        np.zeros(len(labels), dtype=int),
        np.array([16]),
    )
    assert len(set(labels[indexes(strategy_of("dendis", {"granularity": 0.02}).choose(pool))])) >= 10
    assert len(set(labels[indexes(TopScore().choose(pool))])) == 1


def test_clusters_do_not_depend_on_how_products_are_taken() -> None:
    pool = pool_of(5_000, 10, seed=11, dimensions=16)
    labels, centroids = cluster(pool, 12)
    assert labels.tolist() == (pool.vectors.astype(np.float64) @ centroids.astype(np.float64).T).argmax(axis=1).tolist()
    assert len(set(labels.tolist())) == 12
