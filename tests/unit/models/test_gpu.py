"""On a GPU: the numbers of the CPU within a tolerance, and the same bits for the same text in any company."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limoflow.errors import MissingDependency
from limoflow.inference.types import AnswerLikelihood
from models.batches import BatchShape
from models.device import compute_exactly
from models.embedding import EmbeddingModel, embedder_path
from models.likelihood import LikelihoodModel

from .conftest import tiny_corpus

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")]

DEVICE = "cuda:0"
# With repeats, so that every width occurs; words alone fill some rows to their last column.
TEXTS = [text * repeat for text in (t for pair in tiny_corpus(9) for t in pair) for repeat in (1, 3, 9)]
TEXTS += ["apples " * count for count in range(1, 40)]
PAIRS = [(i * (n % 3 + 1), r * (n % 5 + 1)) for n, (i, r) in enumerate(tiny_corpus(24))]
PROMPTS = [instruction for instruction, _ in PAIRS]
SIZES = (2, 3, 7, 64)


@pytest.fixture(scope="module", autouse=True)
def settings_of_the_process() -> Iterator[None]:
    """Take back what a model on a GPU sets for its whole process."""
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture(scope="module", params=["tiny", "packaged"])
def encoder(request: pytest.FixtureRequest, encoder_folder: Path) -> Path:
    if request.param == "tiny":
        return encoder_folder
    try:
        return embedder_path()
    except MissingDependency as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=[400, 1501, 50257])
def causal(request: pytest.FixtureRequest, causal_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vocabularies whose softmax is another kernel, two of them with rows that begin at uneven addresses."""
    from transformers import LlamaConfig, LlamaForCausalLM

    if request.param == 400:
        return causal_folder
    folder = tmp_path_factory.mktemp("vocabulary") / "model"
    shutil.copytree(causal_folder, folder)
    (folder / "model.safetensors").unlink()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config: Any = LlamaConfig.from_pretrained(causal_folder, vocab_size=request.param, hidden_size=64)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def orders(count: int) -> Iterator[list[list[int]]]:
    """The indices in several orders and cut into parts of several sizes."""
    generator = torch.Generator().manual_seed(1)
    for size in SIZES:
        order = torch.randperm(count, generator=generator).tolist()
        yield [order[start : start + size] for start in range(0, count, size)]


def bits(answer: AnswerLikelihood) -> bytes:
    return struct.pack("<2d", answer.loss_conditioned, answer.loss_direct)


def test_embeddings_are_those_of_the_cpu_within_a_tolerance(encoder: Path) -> None:
    expected, found = (EmbeddingModel(encoder, device=device).embed(TEXTS) for device in ("cpu", DEVICE))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_embeddings_have_the_same_bits_in_any_company(encoder: Path) -> None:
    model = EmbeddingModel(encoder, device=DEVICE)
    alone = [model.embed([text])[0].tobytes() for text in TEXTS]
    for parts in orders(len(TEXTS)):
        for part in parts:
            assert [row.tobytes() for row in model.embed([TEXTS[index] for index in part])] == [
                alone[index] for index in part
            ]
    assert [row.tobytes() for row in EmbeddingModel(encoder, device=DEVICE).embed(TEXTS)] == alone


def test_losses_are_those_of_the_cpu_within_a_tolerance(causal: Path) -> None:
    expected, found = (LikelihoodModel(causal, device=device).score(PAIRS) for device in ("cpu", DEVICE))
    for one, other in zip(expected, found, strict=True):
        assert other.loss_conditioned == pytest.approx(one.loss_conditioned, abs=2e-4)
        assert other.loss_direct == pytest.approx(one.loss_direct, abs=2e-4)
        assert (other.tokens_conditioned, other.tokens_direct) == (one.tokens_conditioned, one.tokens_direct)


def test_losses_have_the_same_bits_in_any_company(causal: Path) -> None:
    model = LikelihoodModel(causal, device=DEVICE)
    alone = [bits(model.score([pair])[0]) for pair in PAIRS]
    for parts in orders(len(PAIRS)):
        for part in parts:
            assert [bits(answer) for answer in model.score([PAIRS[index] for index in part])] == [
                alone[index] for index in part
            ]
    assert [bits(answer) for answer in LikelihoodModel(causal, device=DEVICE).score(PAIRS)] == alone


def test_labels_have_the_same_bits_in_any_company_and_are_those_of_the_cpu(causal: Path) -> None:
    model = LikelihoodModel(causal, device=DEVICE)
    alone = [model.labels([prompt])[0] for prompt in PROMPTS]
    for parts in orders(len(PROMPTS)):
        for part in parts:
            assert model.labels([PROMPTS[index] for index in part]) == [alone[index] for index in part]
    np.testing.assert_allclose(alone, LikelihoodModel(causal).labels(PROMPTS), atol=2e-4)


def test_a_model_whose_head_is_not_plain_answers_too(causal: Path) -> None:
    model = LikelihoodModel(causal, shape=BatchShape(rows=2, bucket=32), device=DEVICE)
    plain = model.score(PAIRS[:6])
    model._plain_head = False
    for one, other in zip(plain, model.score(PAIRS[:6]), strict=True):
        assert other.loss_conditioned == pytest.approx(one.loss_conditioned, abs=2e-4)


def test_products_are_of_full_precision_and_kernels_repeatable() -> None:
    compute_exactly(DEVICE)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] in (":4096:8", ":16:8")
