"""The same text gives the same bits, in any order, company and batch size."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limoflow.inference.types import AnswerLikelihood
from models.batches import BatchShape, fixed_batches
from models.embedding import EmbeddingModel
from models.likelihood import LikelihoodModel

from .conftest import tiny_corpus

RELAXED = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXTS = [text * repeat for text in (t for pair in tiny_corpus(9) for t in pair) for repeat in (1, 3, 9)]
PAIRS = [(i * (n % 3 + 1), r * (n % 5 + 1)) for n, (i, r) in enumerate(tiny_corpus(24))] + [("q", ""), ("", "a")]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def embedder(encoder_folder: Path) -> EmbeddingModel:
    return EmbeddingModel(encoder_folder)


@pytest.fixture(scope="module")
def causal(causal_folder: Path) -> LikelihoodModel:
    return LikelihoodModel(causal_folder)


def bits(answer: AnswerLikelihood) -> tuple[bytes, int, int, bool]:
    losses = struct.pack("<2d", answer.loss_conditioned, answer.loss_direct)
    return losses, answer.tokens_conditioned, answer.tokens_direct, answer.truncated


def splits(count: int) -> st.SearchStrategy[tuple[list[int], list[int]]]:
    return st.tuples(st.permutations(range(count)), st.lists(st.integers(1, 20), min_size=1, max_size=count))


def parts(order: list[int], sizes: list[int]) -> Iterator[list[int]]:
    start = turn = 0
    while start < len(order):
        size = sizes[turn % len(sizes)]
        yield order[start : start + size]
        start, turn = start + size, turn + 1


@RELAXED
@given(splits(len(TEXTS)))
def test_embeddings_do_not_depend_on_the_batch(embedder: EmbeddingModel, split: tuple[list[int], list[int]]) -> None:
    alone = [embedder.embed([text])[0].tobytes() for text in TEXTS]
    for part in parts(*split):
        together = embedder.embed([TEXTS[index] for index in part])
        assert [row.tobytes() for row in together] == [alone[index] for index in part]


@RELAXED
@given(splits(len(PAIRS)))
def test_likelihoods_do_not_depend_on_the_batch(causal: LikelihoodModel, split: tuple[list[int], list[int]]) -> None:
    alone = [bits(causal.score([pair])[0]) for pair in PAIRS]
    for part in parts(*split):
        together = causal.score([PAIRS[index] for index in part])
        assert [bits(answer) for answer in together] == [alone[index] for index in part]


def test_workers_give_the_bits_of_one_thread(causal: LikelihoodModel, causal_folder: Path) -> None:
    expected = [bits(answer) for answer in causal.score(PAIRS)]
    together = LikelihoodModel(causal_folder, workers=3)
    for _ in range(3):
        assert [bits(answer) for answer in together.score(PAIRS)] == expected


@given(st.lists(st.lists(st.integers(3, 50), max_size=70), max_size=40), st.integers(1, 9), st.integers(1, 33))
def test_every_sequence_stands_once_in_a_pass_of_the_shape_of_its_length(
    sequences: list[list[int]], rows: int, bucket: int
) -> None:
    shape = BatchShape(rows, bucket, tokens=128)
    seen = []
    for batch in fixed_batches(sequences, shape, pad=0):
        height, width = batch.ids.shape
        assert height == shape.height(width) >= len(batch.members)
        for row, index in enumerate(batch.members):
            assert width == shape.width(len(sequences[index]))
            assert batch.ids[row, : len(sequences[index])].tolist() == sequences[index]
            assert batch.mask[row].sum() == max(1, len(sequences[index]))
        seen += batch.members
    assert sorted(seen) == list(range(len(sequences)))


def test_embeddings_have_length_one_and_tell_texts_apart(embedder: EmbeddingModel) -> None:
    rows = embedder.embed(TEXTS)
    assert rows.shape == (len(TEXTS), 48)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-5)
    assert len({row.tobytes() for row in rows}) == len(set(TEXTS))


def test_embedding_equals_plain_mean_pooling(embedder: EmbeddingModel, encoder_folder: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(encoder_folder)(TEXTS[0], return_tensors="pt")
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(encoder_folder)(input_ids=tokens["input_ids"]).last_hidden_state[0]
    expected = torch.nn.functional.normalize(hidden.mean(0), dim=0).numpy()
    np.testing.assert_allclose(embedder.embed([TEXTS[0]])[0], expected, atol=1e-6)


def test_a_text_beyond_the_limit_is_cut_and_the_empty_text_has_an_embedding(embedder: EmbeddingModel) -> None:
    long = "apples " * 64
    rows = embedder.embed([long, long + "trains", ""])
    assert rows[0].tobytes() == rows[1].tobytes()
    assert math.isclose(float(np.linalg.norm(rows[2])), 1.0, rel_tol=1e-5)
    assert embedder.embed([]).shape == (0, 48)
