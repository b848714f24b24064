"""Models in this process: concurrent callers share passes, and a bad text fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from limoflow.errors import ModelRequestError, UsageError
from limoflow.inference.types import ScoringModels
from models.catalog import ModelCatalog
from models.in_process import InProcessModels, MicroBatches
from models.serving import answer_requests, texts_of

from .conftest import tiny_corpus


@pytest.fixture
async def models(causal_folder: Path, encoder_folder: Path) -> AsyncIterator[ScoringModels]:
    catalog = ModelCatalog(causal_folder.parents[1])
    made = InProcessModels(catalog.path, encoder_folder)
    yield made
    await made.close()


async def test_concurrent_answers_have_the_bits_of_lonely_ones(models: ScoringModels, causal_folder: Path) -> None:
    name = f"ifd-{causal_folder.name[:12]}"
    await models.ready(name)
    pairs = tiny_corpus(20)
    alone = [await models.likelihood(name, *pair) for pair in pairs]
    assert await asyncio.gather(*(models.likelihood(name, *pair) for pair in pairs)) == alone
    texts = [instruction for instruction, _ in pairs]
    one_by_one = [await models.embed(text) for text in texts]
    np.testing.assert_array_equal(await models.embed_many(texts), one_by_one)
    np.testing.assert_array_equal(await asyncio.gather(*(models.embed(text) for text in texts)), one_by_one)


async def test_a_text_that_cannot_be_served_spares_its_neighbours(models: ScoringModels, causal_folder: Path) -> None:
    name = f"ifd-{causal_folder.name[:12]}"
    answers = await asyncio.gather(
        models.likelihood(name, "q", "a"),
        models.likelihood(name, "q", "\ud800"),
        models.likelihood(name, "q", "b"),
        return_exceptions=True,
    )
    assert isinstance(answers[1], ModelRequestError)
    assert answers[::2] == [await models.likelihood(name, "q", "a"), await models.likelihood(name, "q", "b")]


async def test_an_unknown_model_is_refused(models: ScoringModels) -> None:
    with pytest.raises(UsageError, match="ifd-000000000000"):
        await models.likelihood("ifd-000000000000", "q", "a")


async def test_the_threads_of_this_thread_stay_as_they_are(models: ScoringModels) -> None:
    before = torch.get_num_threads()
    await models.embed("text")
    assert torch.get_num_threads() == before


async def test_what_waits_is_computed_together_and_bounded() -> None:
    sizes: list[int] = []

    def compute(questions: list[int]) -> list[int]:
        sizes.append(len(questions))
        return [-question for question in questions]

    with ThreadPoolExecutor(1) as executor:
        batches = MicroBatches(compute, executor, most=4)
        assert await asyncio.gather(*(batches.ask(number) for number in range(10))) == [-n for n in range(10)]
        assert sizes == [4, 4, 2]
        assert await batches.ask(5) == -5


async def test_a_caller_that_gave_up_does_not_disturb_the_others() -> None:
    with ThreadPoolExecutor(1) as executor:
        batches: MicroBatches[int, int] = MicroBatches(lambda questions: questions, executor)
        asked = [asyncio.create_task(batches.ask(number)) for number in range(3)]
        await asyncio.sleep(0)
        asked[1].cancel()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert outcomes[::2] == [0, 2]
    assert isinstance(outcomes[1], asyncio.CancelledError)


def serve(compute: Callable[[list[int]], Sequence[int]], requests: list[str]) -> list[str]:
    return answer_requests(
        requests,
        lambda request: [int(part) for part in request.split(",") if part],
        compute,
        str,
        lambda m: f"refused {m}",
    )


def test_a_request_that_cannot_be_read_is_refused_alone() -> None:
    answers = serve(lambda numbers: [2 * n for n in numbers], ["1,2", "x", "", "3"])
    assert answers[0] == "[2, 4]"
    assert answers[1].startswith("refused ValueError")
    assert answers[2:] == ["[]", "[6]"]


def test_a_question_that_breaks_the_computation_is_refused_alone() -> None:
    def compute(numbers: list[int]) -> list[int]:
        return [12 // n for n in numbers]

    assert serve(compute, ["1,2", "0,3", "4"]) == [
        "[12, 6]",
        "refused ZeroDivisionError: integer division or modulo by zero",
        "[3]",
    ]


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    assert texts_of(np.array([["é".encode()], ["ab"]], dtype=np.object_)) == ["é", "ab"]
    with pytest.raises(UnicodeDecodeError):
        texts_of(np.array([[b"\xff"]], dtype=np.object_))
