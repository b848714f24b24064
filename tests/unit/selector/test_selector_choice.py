"""The choice: which rule refuses what, and what the release says."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from schemas.run import Run, Score
from services.selector import explain
from services.selector.candidate import Candidate, VectorSpace, read_candidate
from services.selector.choose import Closing, Elsewhere, close_window
from services.selector.ranking import METHODS

SPACE = VectorSpace("e", 8)
TOPICS = [
    "alpha",
    "bravo",
    "charlie",
    "delta",
    "echo",
    "golf",
    "hotel",
    "india",
    "juliet",
    "kilo",
    "lima",
    "mike",
    "papa",
]


def run_of(**select: object) -> Run:
    spec = {
        "name": "x",
        "sources": [{"path": "x"}],
        "select": {"target": 5, "minimum_match": 0.0, **select},
        "score": {"weights": {"quality": 1.0}},
    }
    return Run.model_validate({"run_id": "r", "spec": spec})


def candidate(number: int, **changes: object) -> Candidate:
    rng = np.random.default_rng(number)
    words = " ".join(rng.permutation(TOPICS).tolist())
    plain = Candidate(
        id=f"{number:04d}", content="c", domain="d", difficulty="easy", instruction=f"Say {words}",
        response=f"{words} ok", language="en", parent=None, source_ref=f"f:{number}", versions={"scorer": "1"},
        answer_match=0.5,
        parts={"quality": number / 100}, space=SPACE, vector=rng.standard_normal(8).astype(np.float16),
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def close(pool: list[Candidate], run: Run | None = None, elsewhere: Elsewhere | None = None) -> Closing:
    return close_window(pool, elsewhere or Elsewhere(), run or run_of(diversity={"max_cosine": 1.0}), 0)


def test_the_best_are_chosen_and_the_others_told_the_score_that_was_needed() -> None:
    closing = close([candidate(i) for i in range(10)])
    assert list(closing.chosen) == ["0009", "0008", "0007", "0006", "0005"]
    assert [why.rank for why in closing.chosen.values()] == [1, 2, 3, 4, 5]
    why = closing.refused["0003"]
    assert (why.reason, why.value, why.bound, why.rank) == (explain.OUTRANKED, 0.03, 0.05, 7)
    assert (why.stratum, why.score_parts) == ("d/easy", {"quality": 0.03})
    assert closing.release.rows[0].diversity_contribution == 1.0
    assert closing.release.versions == {"scorer": "1"}


def test_equal_scores_are_ordered_by_id() -> None:
    closing = close([candidate(i, parts={"quality": 0.5}) for i in reversed(range(8))])
    assert list(closing.chosen) == ["0000", "0001", "0002", "0003", "0004"]


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_has_no_score_never_wins(value: float | None) -> None:
    closing = close([candidate(1), candidate(2, parts={"quality": value})])
    assert closing.refused["0002"].reason == explain.UNSCORED
    assert list(closing.chosen) == ["0001"]
    assert closing.release.shortfall == 4


@pytest.mark.parametrize("combine", METHODS)
def test_a_score_out_of_range_is_refused_by_name_and_moves_no_ones_rank(combine: str) -> None:
    pool = [candidate(i) for i in range(1, 8)]
    run = run_of(diversity={"max_cosine": 1.0})
    run = run.model_copy(
        update={"spec": run.spec.model_copy(update={"score": Score(weights={"quality": 1.0}, combine=combine)})}
    )
    plain = close(pool, run)
    for value in (1.5, -0.1, 300.0):
        closing = close([*pool, candidate(40, parts={"quality": value})], run)
        why = closing.refused["0040"]
        assert (why.reason, why.value, why.bound) == (explain.INVALID_SCORE, f"quality: {value:g}", "0 to 1")
        assert {it: why.score for it, why in closing.chosen.items()} == {
            it: why.score for it, why in plain.chosen.items()
        }


def test_a_match_that_is_no_cosine_is_refused_and_moves_no_ones_rank() -> None:
    pool = [candidate(i, answer_match=i / 100) for i in range(1, 41)]
    run = run_of(diversity={"max_cosine": 1.0}, near_duplicates=None, minimum_match=0.3)
    closing, without = (close([*pool, candidate(99, answer_match=value)], run) for value in (7.0, None))
    why = closing.refused["0099"]
    assert (why.reason, why.value, why.bound) == (explain.INVALID_SCORE, "answer_match: 7", "-1 to 1")
    noise = [
        {it: why.value for it, why in one.refused.items() if why.reason == explain.LOW_MATCH}
        for one in (closing, without)
    ]
    assert noise[0] == noise[1] != {}


@pytest.mark.parametrize("value", ["true", '"0.9"', "[1]"])
def test_what_is_no_number_is_no_score(value: str) -> None:
    text = f'{{"id":"x","instruction":"a","response":"b","metadata":{{"evaluations":{{"chain":{value}}}}}}}'
    assert read_candidate(text.encode(), {"chain": 1.0}).parts == {"chain": None}


def test_duplicates_name_the_better_one() -> None:
    best = candidate(7)
    exact = candidate(3, instruction=best.instruction.upper(), response=best.response)
    near = candidate(4, instruction=best.instruction, response=f"{best.response} indeed")
    closing = close([exact, near, best])
    assert (closing.refused["0003"].reason, closing.refused["0003"].nearest) == (explain.EXACT_DUPLICATE, "0007")
    assert (closing.refused["0004"].reason, closing.refused["0004"].nearest) == (explain.NEAR_DUPLICATE, "0007")
    assert closing.refused["0004"].value >= closing.refused["0004"].bound == 0.7
    assert list(close([exact, near, best], run_of(near_duplicates=None, diversity={"max_cosine": 1.0})).chosen) == [
        "0007",
        "0004",
    ]


def test_too_similar_ones_wait_and_fill_only_what_is_left() -> None:
    vector = candidate(9).vector
    pool = [candidate(9), candidate(8, vector=vector), candidate(1, vector=-vector)]
    two = close(pool, run_of(target=2))
    assert list(two.chosen) == ["0009", "0001"]
    why = two.refused["0008"]
    assert (why.reason, why.nearest, why.bound) == (explain.TOO_SIMILAR, "0009", 0.9)
    assert why.value == pytest.approx(1.0, abs=1e-3)
    three = close(pool, run_of(target=3))
    assert [why.reason for why in three.chosen.values()] == [explain.CHOSEN, explain.CHOSEN, explain.FILLED]
    assert three.chosen["0008"].diversity_contribution == pytest.approx(0.0, abs=1e-3)


def test_quotas_bound_the_strata() -> None:
    pool = [candidate(i, domain="ab"[i % 2]) for i in range(20)] + [candidate(50 + i, domain="z") for i in range(3)]
    rules = {"quotas": {"domain": {"a": 0.8, "b": 0.2}}, "diversity": {"max_cosine": 1.0}}
    closing = close(pool, run_of(**rules))
    assert closing.release.quotas == {"a/easy": 4, "b/easy": 1, "z/easy": 0}
    assert {why.reason for it, why in closing.refused.items() if it >= "0050"} == {explain.NO_QUOTA}


def test_other_embedding_spaces_and_missing_embeddings_are_refused() -> None:
    other = candidate(8, space=VectorSpace("f", 8))
    none = candidate(9, space=None, vector=None)
    closing = close([candidate(1), candidate(2), other, none])
    why = closing.refused["0008"]
    assert (why.reason, why.value, why.bound) == (explain.OTHER_EMBEDDING, "f, 8 dimensions", "e, 8 dimensions")
    why = closing.refused["0009"]
    assert (why.reason, why.value, why.bound) == (explain.NO_EMBEDDING, "none", "e, 8 dimensions")


def test_probable_noise_is_refused_with_its_percentile() -> None:
    pool = [candidate(i, answer_match=i / 100) for i in range(60)]
    closing = close(pool, run_of(minimum_match=0.25, near_duplicates=None))
    noise = {it for it, why in closing.refused.items() if why.reason == explain.LOW_MATCH}
    assert {f"{i:04d}" for i in range(14)} <= noise
    assert all(closing.refused[it].value < 0.25 == closing.refused[it].bound for it in noise)


def test_every_sample_of_the_pool_is_chosen_or_refused_and_the_funnel_adds_up() -> None:
    elsewhere = Elsewhere({"verifier/wrong": 4, "selector/reservoir_full": 2}, {"scorer": 1})
    closing = close([candidate(i, domain="ab"[i % 2]) for i in range(40)], elsewhere=elsewhere)
    assert closing.chosen.keys() | closing.refused.keys() == {f"{i:04d}" for i in range(40)}
    assert closing.release.funnel == {
        "admitted": 47, "scored": 42, "finalized": 5, "dead_lettered": {"scorer": 1}, "exact": True,
        "rejected": {"verifier/wrong": 4, "selector/reservoir_full": 2, "selector/outranked": 35},
    }  # fmt: skip


def test_a_recorded_embedding_that_cannot_be_compared_is_none() -> None:
    bad = ["????", "AAAA", "AAAAAA==", "AHwAfA=="]  # no base64, odd length, zero, infinite
    for data in bad:
        embedding = f'{{"model":"e","dimensions":2,"data":"{data}"}}'
        metadata = f'{{"advanced_assessment":{{"embedding":{embedding}}}}}'
        text = f'{{"id":"x","instruction":"a","response":"b","metadata":{metadata}}}'
        assert read_candidate(text.encode(), {}).vector is None
