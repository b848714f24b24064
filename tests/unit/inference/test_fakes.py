"""The fakes keep the promises of what they stand for."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.errors import ChatRequestError, DependencyUnavailable
from limoflow.inference.chat_types import Chat, ChatMessage
from limoflow.inference.fakes import FakeChat, FakeModels, hashed_words
from limoflow.inference.types import ScoringModels


@given(st.text())
def test_every_text_has_one_unit_vector(text: str) -> None:
    vector = hashed_words(text)
    assert vector.shape == (384,)
    assert np.linalg.norm(vector) == pytest.approx(1.0)
    assert vector.tobytes() == hashed_words(text).tobytes()


def test_texts_that_share_words_are_similar() -> None:
    near = hashed_words("five red apples on the table") @ hashed_words("six red apples on the table")
    far = hashed_words("five red apples on the table") @ hashed_words("select name from users where id")
    assert near > 0.6 > 0.3 > far
    assert hashed_words("小明有五个苹果") @ hashed_words("小明有六个苹果") > 0.6


async def test_answers_that_fit_their_instruction_are_likelier() -> None:
    models: ScoringModels = FakeModels()
    fit = await models.likelihood("m", "count the red apples", "the red apples are five")
    astray = await models.likelihood("m", "select a user", "the red apples are five")
    assert fit.loss_conditioned < astray.loss_conditioned <= astray.loss_direct == fit.loss_direct
    assert fit.tokens_direct == 5
    assert math.isnan((await models.likelihood("m", "q", " ")).loss_direct)
    await models.ready("m")
    assert len(await models.embed_many(["a", "b"])) == 2


async def test_failures_can_be_planned() -> None:
    models = FakeModels(fail=lambda text: DependencyUnavailable("out") if text == "bad" else None)
    with pytest.raises(DependencyUnavailable):
        await models.embed("bad")
    await models.embed("good")
    assert models.calls == 2
    await models.close()
    assert models.closed


async def test_a_fake_chat_answers_fails_and_counts() -> None:
    fake = FakeChat(lambda messages: ChatRequestError("no") if "bad" in messages[-1].content else "yes it is")
    chat: Chat = fake
    assert (await chat.complete([ChatMessage("user", "is it so")])).text == "yes it is"
    with pytest.raises(ChatRequestError):
        await chat.complete([ChatMessage("user", "bad")])
    assert (chat.usage.requests, chat.usage.prompt_tokens, chat.usage.completion_tokens) == (1, 3, 3)
    assert len(fake.seen) == 2
    await chat.close()


def test_the_package_imports_no_heavy_client() -> None:
    look = "import sys, limoflow.inference; print({'tritonclient', 'httpx', 'torch', 'grpc'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
