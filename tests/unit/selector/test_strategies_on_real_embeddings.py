"""What the strategies promise on real embeddings: MiniLM on public questions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from services.selector.diversity import whole_number_vectors
from services.selector.strategies.facility_location import Coverage, FacilityLocation, similarities
from services.selector.strategies.interface import Pool
from services.selector.strategies.representation import RepresentationFilter
from services.selector.strategies.sieve import sieve

QUESTIONS = Path(__file__).resolve().parents[4] / "shared" / "data" / "gsm8k" / "test.jsonl"
SIZE, TARGET = 160, 16

pytestmark = [pytest.mark.data, pytest.mark.skipif(not QUESTIONS.exists(), reason="the shared data is not there")]


@pytest.fixture(scope="module")
def pool() -> Pool:
    from models.embedding import EmbeddingModel, embedder_path

    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()[:SIZE]
    # Short texts: it is the shape of the space that matters here.
    texts = [json.loads(line)["question"][:100] for line in lines]
    recorded = EmbeddingModel(embedder_path()).embed(texts).astype(np.float16)
    return Pool(
        tuple(f"{place:04d}" for place in range(SIZE)),
        whole_number_vectors(list(recorded), recorded.shape[1]),
        np.random.default_rng(0).random(SIZE),
        np.zeros(SIZE, dtype=np.int64),
        np.array([TARGET]),
        0,
        recorded,
    )


def value(similar: np.ndarray, chosen: list[int]) -> float:
    return float(similar[:, chosen].max(axis=1).sum(dtype=np.float64))


def test_facility_location_reaches_greedy_and_the_sieve_nine_tenths_of_it(pool: Pool) -> None:
    similar = similarities(pool.vectors)
    covered, greedy = np.zeros(SIZE), []
    for _ in range(TARGET):
        gains = np.maximum(similar - covered[:, None], 0.0).sum(axis=0)
        gains[greedy] = -1.0
        greedy.append(int(gains.argmax()))
        covered = np.maximum(covered, similar[:, greedy[-1]])
    lazy = [pick.index for pick in FacilityLocation().choose(pool).picks]
    assert value(similar, lazy) >= 0.999 * value(similar, greedy)
    assert value(similar, sieve(pool, Coverage(similar), 0.1)) >= 0.9 * value(similar, greedy)


@pytest.mark.parametrize("bound", [0.9, 0.6, 0.4])
def test_the_representation_filter_is_deitas_on_what_was_recorded(pool: Pool, bound: float) -> None:
    assert pool.recorded is not None
    wide = pool.recorded.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    kept: list[int] = []
    for index in pool.best_first().tolist():
        if not kept or float((wide[kept] @ wide[index]).max()) <= bound:
            kept.append(index)
    free = Pool(pool.ids, pool.vectors, pool.scores, pool.strata, np.array([SIZE]), 0, pool.recorded)
    assert [pick.index for pick in RepresentationFilter(max_cosine=bound).choose(free).picks] == kept
