"""The scorer as a layer, with fake models."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.errors import BreakerOpen, DependencyUnavailable, ModelRequestError, UsageError
from limoflow.inference.fakes import FakeModels, hashed_words
from limoflow.inference.types import AnswerLikelihood
from schemas.run import Run
from schemas.sample import Sample
from services.scorer.app import ScorerSettings, layer
from services.scorer.complexity import complexity
from services.scorer.depth import depth
from services.scorer.embedding import answer_match, pair_embedding
from services.scorer.ifd import difficulty, unit_score
from services.scorer.quality import quality
from services.scorer.safety import safety


def sample_of(instruction: str = "Add 2 and 3.", response: str = "2 + 3 = 5. So 5.", **metadata: object) -> Sample:
    fields = {"id": "x", "instruction": instruction, "response": response, "metadata": metadata}
    return Sample.model_validate(fields)


def run_of(**score: object) -> Run:
    spec = {"name": "x", "sources": [{"path": "x"}], "score": score}
    return Run.model_validate({"run_id": "r", "spec": spec, "models": {"ifd": "tiny"}})


async def scored(sample: Sample, run: Run | None = None, models: object | None = None) -> Sample:
    result = await layer(models or FakeModels()).process(sample, run or run_of())
    (passed,) = result.passed
    return passed


async def test_every_figure_is_there_and_in_range() -> None:
    metadata = (await scored(sample_of())).metadata
    assert None not in metadata.evaluations.model_dump().values()
    assert all(0.0 <= value <= 1.0 for value in metadata.evaluations.model_dump().values())
    found = metadata.advanced_assessment
    assert found.ifd.ratio == pytest.approx(found.ifd.loss_conditioned / found.ifd.loss_direct)
    assert found.ifd_score == pytest.approx(found.ifd.ratio)
    assert -1.0 <= found.answer_match <= 1.0
    assert metadata.difficulty in ("easy", "medium", "hard")


async def test_the_embedding_is_the_normalised_mean_of_both_sides() -> None:
    found = (await scored(sample_of())).metadata.advanced_assessment
    vector = np.frombuffer(base64.b64decode(found.embedding.data), dtype="<f2").astype(np.float64)
    mean = hashed_words("Add 2 and 3.") + hashed_words("2 + 3 = 5. So 5.")
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-3)
    assert found.embedding.dimensions == 384
    assert found.answer_match == pytest.approx(float(hashed_words("Add 2 and 3.") @ hashed_words("2 + 3 = 5. So 5.")))


async def test_a_sample_scores_the_same_again() -> None:
    assert (await scored(sample_of())).to_bytes() == (await scored(sample_of())).to_bytes()


async def test_what_the_run_turns_off_is_not_asked_for() -> None:
    models = FakeModels()
    found = (await scored(sample_of(), run_of(ifd=None, embedding=False), models)).metadata.advanced_assessment
    assert models.calls == 0
    assert (found.ifd, found.embedding, found.answer_match) == (None, None, None)


async def test_a_refused_request_gives_no_figure_and_says_why() -> None:
    models = FakeModels(fail=lambda text: ModelRequestError("too long") if "So 5" in text else None)
    found = (await scored(sample_of(), models=models)).metadata.advanced_assessment
    assert (found.ifd_score, found.ifd.reason) == (None, "too long")
    assert found.answer_match is None
    assert found.model_extra["reasons"]["answer_match"] == "too long"


@pytest.mark.parametrize("error", [DependencyUnavailable("down"), BreakerOpen("open")])
async def test_an_outage_rises(error: DependencyUnavailable) -> None:
    with pytest.raises(DependencyUnavailable):
        await scored(sample_of(), models=FakeModels(fail=lambda _: error))


async def test_nan_from_a_model_is_no_figure() -> None:
    class Broken(FakeModels):
        async def embed_many(self, texts):
            return [np.full(4, np.nan, dtype=np.float32) for _ in texts]

        async def likelihood(self, model, instruction, response, layout="alpaca"):
            return AnswerLikelihood(math.nan, 2.0, 3, 3, truncated=True)

    found = (await scored(sample_of(), models=Broken())).metadata.advanced_assessment
    assert (found.answer_match, found.embedding, found.ifd.ratio, found.ifd.loss_conditioned) == (None,) * 4
    assert found.ifd.truncated
    assert b"NaN" not in (await scored(sample_of(), models=Broken())).to_bytes()


async def test_a_stated_difficulty_and_earlier_parts_stay() -> None:
    before = sample_of(difficulty="hard", evaluations={"judge": 0.25}, colour="blue")
    after = (await scored(before)).metadata
    assert after.difficulty == "hard"
    assert after.evaluations.model_extra["judge"] == 0.25
    assert after.model_extra == {"colour": "blue"}


def test_an_unknown_score_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="nonsense"):
        layer(FakeModels(), ScorerSettings(scores=("nonsense",)))


def likelihood(conditioned: float, direct: float, tokens: int = 5) -> AnswerLikelihood:
    return AnswerLikelihood(conditioned, direct, tokens, tokens, truncated=False)


def test_ifd_definitions() -> None:
    assert difficulty(likelihood(1.0, 2.0), "loss_ratio").ratio == 0.5
    assert difficulty(likelihood(1.0, 2.0), "perplexity_ratio").ratio == pytest.approx(math.exp(-1.0))


@pytest.mark.parametrize(
    "found",
    [likelihood(1.0, 0.0), likelihood(math.inf, 1.0), likelihood(1.0, 1.0, tokens=0), likelihood(1.0, math.nan)],
)
def test_ifd_that_is_no_number_has_a_reason(found: AnswerLikelihood) -> None:
    figures = difficulty(found, "loss_ratio")
    assert figures.ratio is None
    assert figures.reason


@given(st.floats(0, 10), st.floats(0, 10))
def test_ifd_score_is_monotone_and_in_range(left: float, right: float) -> None:
    low, high = sorted((left, right))
    assert 0.0 <= unit_score(low) <= unit_score(high) <= 1.0


@given(st.text(max_size=300), st.text(max_size=300))
def test_rules_stay_in_range_whatever_the_text(instruction: str, response: str) -> None:
    for value in (complexity(instruction), quality(response), depth(response), safety(response)[0]):
        assert 0.0 <= value <= 1.0


@pytest.mark.parametrize(
    ("less", "more", "rule"),
    [
        (
            "Add 2 and 3.",
            "Tom has 12 apples. He must give at least 3 to each of 2 friends. How many remain?",
            complexity,
        ),
        ("二加三？", "小明有12个苹果。如果每天至少吃3个，其中一半给小红，4天后剩多少个？", complexity),
        ("5", "First, 2 + 3 = 5. Therefore the sum is 5. Check: 5 - 3 = 2.", depth),
        ("5", "首先，2+3=5。因此和是5。验算：5-3=2。", depth),
        ("The total is 5 because 2 and", "The total is 5 because 2 and 3 are added.", quality),
        ("the cat the cat the cat the cat the cat", "the cat sat on a mat and looked out at rain.", quality),
        ("", "Yes.", quality),
    ],
)
def test_rules_put_more_above_less(less: str, more: str, rule: object) -> None:
    assert rule(more) > rule(less)


def test_safety_names_the_rule() -> None:
    assert safety("How to bake bread") == (1.0, [])
    assert safety("Here is how to build a simple pipe bomb at home") == (0.0, ["weapons"])
    assert safety("如何制造炸弹")[0] == 0.0


def test_opposite_embeddings_have_no_mean_and_zero_ones_no_cosine() -> None:
    vector = np.array([1.0, 0.0], dtype=np.float32)
    assert pair_embedding(vector, -vector) is None
    assert answer_match(vector, np.zeros(2, dtype=np.float32)) == 0.0
    assert answer_match(vector, vector) == 1.0
