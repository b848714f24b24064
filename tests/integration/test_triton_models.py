"""The real models on a real Triton server: same bits in any company, errors of one request, healing, outages."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest

pytest.importorskip("torch")
pytest.importorskip("tritonclient")

from limoflow.errors import DeadlineExceeded, DependencyUnavailable, LimoflowError, ModelRequestError
from limoflow.inference.triton import TritonModels, _translated
from limoflow.inference.types import AnswerLikelihood
from limoflow.stack.processes import ManagedProcess, running
from limoflow.stack.triton import ServedModels, TritonServer
from models.build import BuildSettings, build_embedded_model
from models.catalog import ModelCatalog, model_name
from models.repository import TEMPLATES, prepare
from schemas.run import IfdScore
from services.scorer.ifd import difficulty
from tests.support.published_ifd import Published, cherry, own_rule, superfiltering

REPOSITORY = Path(__file__).resolve().parents[2]
VENV = Path(os.environ.get("LIMOFLOW_TRITON_VENV") or REPOSITORY / ".venv-triton")
HANG_GUARD_S = 120.0
LENGTH = 256
TINY = BuildSettings(vocabulary=500, hidden=32, heads=2, intermediate=64, steps=10, rows=4, block=192, context=LENGTH)

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(
        not (VENV / "bin" / "python").exists() and os.environ.get("CI") != "true",
        reason="no Triton environment: make venv-triton",
    ),
]


def corpus(count: int) -> list[tuple[str, str]]:
    pairs = []
    for index in range(count):
        numbers = f"{index} + {index + 3} = {2 * index + 3}"
        pairs.append(
            (
                f"Ann has {index} coins, gets {index + 3} more. " * (index % 4 + 1),
                f"{numbers} coins. " * (index % 7 + 1),
            )
        )
        pairs.append(
            (f"小明有{index}个苹果,又买了{index + 3}个。" * (index % 3 + 1), f"{numbers}个。" * (index % 5 + 1))
        )
    return pairs


class Served:
    """A running server, its address and the two causal models in its repository."""

    def __init__(self, process: ManagedProcess, address: str, names: list[str]) -> None:
        self.process = process
        self.address = address
        self.names = names

    def stubs(self, model: str = "") -> list[int]:
        assert self.process.pid is not None
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                alive = child.status() != psutil.STATUS_ZOMBIE and child.name().startswith("triton_python_b")
                if alive and f"/{model}" in " ".join(child.cmdline()):
                    found.append(child.pid)
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("triton")
    keys = [build_embedded_model(corpus(n), home, settings=TINY).key for n in (10, 12)]
    repository = home / "repository"
    prepare(TEMPLATES, repository, catalog_root=home, instances=2)
    packages = (REPOSITORY / "models", REPOSITORY / "limoflow")
    server = TritonServer(VENV, ServedModels(repository, ("embedder",), packages), home / "stack")
    with running(server.spec()) as process:
        yield Served(process, server.grpc_address, [model_name(key) for key in keys])


@pytest.fixture
async def models(served: Served) -> AsyncIterator[TritonModels]:
    made = TritonModels(served.address, deadline=60.0, heal_seconds=0.5)
    for name in served.names:
        await made.ensure_loaded(name)
    yield made
    await made.close()


def bits(answer: AnswerLikelihood) -> tuple[bytes, int, int, bool]:
    losses = struct.pack("<2d", answer.loss_conditioned, answer.loss_direct)
    return losses, answer.tokens_conditioned, answer.tokens_direct, answer.truncated


async def until_it_works(call: Callable[[], Awaitable[object]]) -> list[LimoflowError]:
    """Ask again until an answer comes; return the errors on the way."""
    errors: list[LimoflowError] = []
    async with asyncio.timeout(HANG_GUARD_S):
        while True:
            try:
                await call()
            except DependencyUnavailable as error:
                errors.append(error)
                await asyncio.sleep(0.1)
            else:
                return errors


async def test_the_same_text_gives_the_same_bits_at_any_concurrency(models: TritonModels, served: Served) -> None:
    pairs = [*corpus(20), ("question", ""), ("", "answer")]
    for name in served.names:
        alone = [bits(await models.likelihood(name, *pair)) for pair in pairs]
        for order in (pairs, pairs[::-1], pairs[::2] + pairs[1::2]):
            answers = await asyncio.gather(*(models.likelihood(name, *pair) for pair in order))
            assert [bits(answer) for answer in answers] == [alone[pairs.index(pair)] for pair in order]
    assert alone[-2][1:3] == (0, 0)
    assert np.isnan(struct.unpack("<2d", alone[-2][0])).all()


async def test_the_same_text_has_the_same_embedding_alone_together_and_in_one_request(models: TritonModels) -> None:
    texts = [text for pair in corpus(20) for text in pair] + [""]
    alone = np.stack([await models.embed(text) for text in texts])
    assert alone.shape == (81, 384)
    assert alone.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(await models.embed_many(texts), alone)
    np.testing.assert_array_equal(await asyncio.gather(*(models.embed(text) for text in texts[::-1])), alone[::-1])
    assert alone[0] @ (await models.embed("Ann owns a few coins.")) > alone[0] @ (
        await models.embed("SELECT id FROM t")
    )


async def test_the_models_in_this_process_give_the_same_losses(
    models: TritonModels, served: Served, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from models.likelihood import LikelihoodModel

    home = next(path for path in tmp_path_factory.getbasetemp().glob("triton*") if (path / "models").is_dir())
    pairs = corpus(6)
    here = LikelihoodModel(ModelCatalog(home).path(served.names[0])).score(pairs)
    there = [await models.likelihood(served.names[0], *pair) for pair in pairs]
    for left, right in zip(here, there, strict=True):
        assert left.loss_conditioned == pytest.approx(right.loss_conditioned, rel=1e-5)
        assert left.loss_direct == pytest.approx(right.loss_direct, rel=1e-5)


@pytest.mark.parametrize("layout", ["alpaca", "plain", "alpaca:cherry", "vicuna:cherry", "plain:superfiltering"])
async def test_the_server_gives_the_published_ratios_in_any_company(
    models: TritonModels, served: Served, tmp_path_factory: pytest.TempPathFactory, layout: str
) -> None:
    home = next(path for path in tmp_path_factory.getbasetemp().glob("triton*") if (path / "models").is_dir())
    code = Published(ModelCatalog(home).path(served.names[0]))
    template, _, parity = layout.partition(":")
    rule = {"": own_rule, "cherry": cherry, "superfiltering": superfiltering}[parity]
    pairs = [*corpus(4), ("question", ""), ("Repeat. " * 200, "again"), ("Repeat.", "again and " * 200)]
    found = await asyncio.gather(*(models.likelihood(served.names[0], *pair, layout) for pair in pairs))
    alone = [await models.likelihood(served.names[0], *pair, layout) for pair in pairs]
    assert [bits(one) for one in found] == [bits(one) for one in alone]
    for pair, answer in zip(pairs, found, strict=True):
        expected = rule(code, template, *pair, LENGTH)
        wanted = IfdScore(definition="perplexity_ratio" if parity == "superfiltering" else "loss_ratio")
        figures = difficulty(answer, wanted.definition)
        assert (figures.ratio is None) == math.isnan(expected) == bool(figures.reason)
        if figures.ratio is not None:
            assert figures.ratio == pytest.approx(expected, abs=1e-4)


async def test_layouts_labels_and_an_unknown_layout_share_a_batch(models: TritonModels, served: Served) -> None:
    pair = corpus(1)[0]
    name = served.names[0]
    plain, default, labels, unknown = await asyncio.gather(
        models.likelihood(name, *pair, "plain"),
        models.likelihood(name, *pair),
        models.labels(name, "Score: "),
        models.likelihood(name, *pair, "nonsense"),
        return_exceptions=True,
    )
    assert default == await models.likelihood(name, *pair, "alpaca") != plain
    unnamed = await models._ask(name, {"INSTRUCTION": [pair[0]], "RESPONSE": [pair[1]]})
    assert float(unnamed.as_numpy("NLL_CONDITIONED")[0, 0]) == default.loss_conditioned
    assert isinstance(labels, tuple)
    assert 0.0 < sum(np.exp(labels)) <= 1.0
    assert isinstance(unknown, ModelRequestError)
    assert "nonsense" in str(unknown)


async def test_a_request_that_cannot_be_served_spares_its_neighbours(models: TritonModels, served: Served) -> None:
    from tritonclient.grpc import InferInput

    broken = InferInput("TEXT", [1, 1], "BYTES")
    broken.set_data_from_numpy(np.array([[b"\xff\xfe"]], dtype=np.object_))

    async def ask_broken() -> None:
        await _translated(models._servers.in_turn().infer("embedder", [broken]), "embedder", 60.0)

    calls = [models.embed(f"text {n}") if n % 4 else ask_broken() for n in range(16)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(outcome, np.ndarray) for n, outcome in enumerate(outcomes) if n % 4)
    for outcome in outcomes[::4]:
        assert isinstance(outcome, ModelRequestError)
        assert "UnicodeDecodeError" in str(outcome)
    with pytest.raises(ModelRequestError, match="Unicode"):
        await models.likelihood(served.names[0], "q", "\ud800")


async def test_a_model_that_does_not_exist_is_named(models: TritonModels) -> None:
    with pytest.raises(ModelRequestError, match="ifd-000000000000"):
        await models.ensure_loaded("ifd-000000000000")
    with pytest.raises(DependencyUnavailable, match="ifd-000000000000"):
        await models.ready("ifd-000000000000")


async def test_a_model_that_was_unloaded_is_loaded_again(models: TritonModels, served: Served) -> None:
    name = served.names[0]
    before = await models.likelihood(name, "q", "answer")
    async with models._servers.alone(served.address) as server:
        await server.unload_model(name)
    assert await until_it_works(lambda: models.likelihood(name, "q", "answer"))
    assert await models.likelihood(name, "q", "answer") == before


async def test_killed_stubs_are_healed_and_answer_with_the_same_bits(models: TritonModels, served: Served) -> None:
    name = served.names[0]
    pairs = corpus(8)
    before = [bits(await models.likelihood(name, *pair)) for pair in pairs]
    embedding = await models.embed("text")
    stubs = served.stubs()
    assert len(stubs) == 4
    for pid in stubs:
        os.kill(pid, signal.SIGKILL)
    errors = await until_it_works(lambda: models.ready(name))
    assert errors
    await asyncio.gather(*(until_it_works(lambda p=pair: models.likelihood(name, *p)) for pair in pairs))
    assert [bits(await models.likelihood(name, *pair)) for pair in pairs] == before
    np.testing.assert_array_equal(await models.embed("text"), embedding)
    assert not set(stubs) & set(served.stubs())


async def test_one_killed_stub_of_several_leaves_no_process_of_the_model_as_it_was(
    models: TritonModels, served: Served
) -> None:
    """Triton never finishes unloading a model that has a dead stub, and keeps the others."""
    await models.ready(served.names[0])
    before = served.stubs("embedder")
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    async with asyncio.timeout(HANG_GUARD_S):
        while set(before) & set(served.stubs("embedder")):
            await until_it_works(lambda: models.embed("text"))
    await until_it_works(lambda: models.embed("text"))
    assert len(served.stubs("embedder")) == 2


async def test_a_stopped_server_is_a_deadline_a_dead_one_an_outage_and_a_new_one_gets_its_models(
    models: TritonModels, served: Served
) -> None:
    name = served.names[0]
    assert served.process.pid is not None
    hasty = TritonModels(served.address, deadline=0.5)
    before = await models.likelihood(name, "q", "answer")
    os.kill(served.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(DeadlineExceeded, match=r"0\.5 s"):
            await hasty.embed("text")
    finally:
        os.kill(served.process.pid, signal.SIGCONT)
    await hasty.close()
    await until_it_works(lambda: models.embed("text"))
    served.process.kill()
    served.process.stop()
    with pytest.raises(DependencyUnavailable):
        await models.embed("text")
    with pytest.raises(DependencyUnavailable):
        await models.likelihood(name, "q", "answer")
    served.process.start()
    assert await until_it_works(lambda: models.ready(name))
    assert await models.likelihood(name, "q", "answer") == before
