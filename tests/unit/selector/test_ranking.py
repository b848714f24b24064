"""Combinations of scores, hard thresholds and figures of a set: definitions, and functions of the set alone (G3)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.run import Bounds
from services.selector.combine import finite_parts
from services.selector.dataset_scores import coverage, duplicate_rate, entropy, evenness, flag, freshness, scale, vendi
from services.selector.ranking import METHODS, broken_bound, final_scores, pareto_layers

WEIGHTS = {"a": 1.0, "b": 2.0, "unused": 0.0}
part = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 0.5, 1.0]))
pools = st.lists(st.fixed_dictionaries({"a": part, "b": part}), max_size=12)


@pytest.mark.parametrize("method", METHODS)
@given(pools, st.randoms())
def test_scores_are_a_function_of_the_set_and_in_range(
    method: str, pool: list[dict[str, float | None]], random
) -> None:
    parts = [finite_parts(one) for one in pool]
    found = final_scores(parts, WEIGHTS, method)
    order = list(range(len(parts)))
    random.shuffle(order)
    assert final_scores([parts[index] for index in order], WEIGHTS, method) == [found[index] for index in order]
    for one, score in zip(parts, found, strict=True):
        assert score is None or 0.0 <= score <= 1.0
        assert (score is None) == (len(one) < 2 if method == "product" else not one)


def test_each_way_on_one_pool() -> None:
    pool = [{"a": 1.0, "b": 0.2}, {"a": 0.5, "b": 0.5}, {"a": 0.4, "b": 0.4}]
    assert final_scores(pool, WEIGHTS, "mean") == pytest.approx([1.4 / 3, 0.5, 0.4])
    assert final_scores(pool, WEIGHTS, "product") == pytest.approx([0.2, 0.25, 0.16])
    assert final_scores(pool, WEIGHTS, "rank") == pytest.approx([(5 + 2) / 18, (3 + 10) / 18, (1 + 6) / 18])
    assert final_scores(pool, WEIGHTS, "minimum_rank") == pytest.approx([1 / 6, 1 / 2, 1 / 6])
    assert final_scores(pool, WEIGHTS, "pareto") == pytest.approx([1.0, 1.0, 0.5])
    with pytest.raises(ValueError, match="known: mean"):
        final_scores(pool, WEIGHTS, "best")


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), max_size=14))
def test_pareto_layers_are_those_of_peeling(rows: list[list[int]]) -> None:
    expected: dict[int, int] = {}
    left, layer = set(range(len(rows))), 0
    while left:
        front = {
            i
            for i in left
            if not any(rows[j] != rows[i] and all(x >= y for x, y in zip(rows[j], rows[i], strict=True)) for j in left)
        }
        expected |= dict.fromkeys(front, layer)
        left, layer = left - front, layer + 1
    found = pareto_layers(np.array(rows, dtype=np.float64).reshape(len(rows), 3))
    assert found == [expected[index] for index in range(len(rows))]


@pytest.mark.parametrize(
    ("value", "bounds", "broken"),
    [
        (0.6, {"least": 0.6}, None),
        (0.59, {"least": 0.6}, "at least 0.6"),
        (1.0, {"below": 1.0}, "below 1.0"),
        (1.0, {"most": 1.0}, None),
        (None, {"least": 0.0}, "a number"),
    ],
)
def test_hard_thresholds(value: float | None, bounds: dict[str, float], broken: str | None) -> None:
    found = broken_bound(value, Bounds(**bounds))
    assert (found and found[1]) == broken


def test_entropy_coverage_and_duplicates() -> None:
    assert entropy("aabb") == pytest.approx(math.log(2), abs=1e-6)
    assert (entropy(""), evenness("abab"), evenness("aaaa")) == (0.0, 1.0, 1.0)
    assert evenness("aaab") < 1.0
    assert coverage(["algebra", "other"], ["algebra", "geometry"]) == 0.5
    assert (duplicate_rate("aab"), duplicate_rate("")) == (pytest.approx(1 / 3, abs=1e-6), 0.0)


def test_vendi_counts_what_differs() -> None:
    assert vendi(np.eye(5)) == pytest.approx(5.0)
    assert vendi(np.ones((7, 3))) == pytest.approx(1.0)
    assert vendi(np.repeat(np.eye(4), 3, axis=0)) == pytest.approx(4.0)
    bad = np.array([[1.0, 0.0], [0.0, 0.0], [math.nan, 1.0], [math.inf, 0.0]])
    assert vendi(bad) == pytest.approx(1.0)
    assert vendi(np.zeros((0, 0))) == vendi(np.zeros((3, 2))) == 0.0


@given(st.permutations(range(12)))
def test_vendi_is_a_function_of_the_set(order: list[int]) -> None:
    rows = np.random.default_rng(3).standard_normal((12, 5))
    assert vendi(rows[order]) == vendi(rows)


def test_flag_is_a_geometric_mean() -> None:
    assert flag(1.0, 1.0, 1.0, 0.0625) == pytest.approx(0.5)
    assert freshness([0.0, 365.0]) == pytest.approx(0.75)
    assert scale(100.0, 100.0) == 1.0
    assert 0.0 == scale(0.0, 100.0) < scale(10.0, 100.0) < 1.0
    with pytest.raises(ValueError, match="0, 1"):
        flag(math.nan, 1.0, 1.0, 1.0)
