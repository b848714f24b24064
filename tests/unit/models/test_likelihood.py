"""Losses of an answer: right values, same answer tokens in both passes, cuts and empty answers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limoflow.errors import UsageError
from models.layout import fit_passes
from models.likelihood import LikelihoodModel
from models.prompts import alpaca_prompt

ids = st.lists(st.integers(3, 99), max_size=60)


@pytest.fixture(scope="module")
def causal(causal_folder: Path) -> LikelihoodModel:
    return LikelihoodModel(causal_folder)


def plain_loss(folder: Path, prompt: str, answer: str) -> float:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    start = [1, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    tokens = tokenizer(answer, add_special_tokens=False)["input_ids"]
    labels = torch.tensor([[-100] * len(start) + tokens])
    with torch.inference_mode():
        model = AutoModelForCausalLM.from_pretrained(folder)
        return float(model(input_ids=torch.tensor([start + tokens]), labels=labels).loss)


def test_losses_equal_those_of_the_plain_model(causal: LikelihoodModel, causal_folder: Path) -> None:
    instruction, response = "Ann has 3 apples and gets 4 more. How many?", "3 + 4 = 7 apples."
    answer = causal.score([(instruction, response)])[0]
    assert answer.loss_conditioned == pytest.approx(plain_loss(causal_folder, alpaca_prompt(instruction), response))
    assert answer.loss_direct == pytest.approx(plain_loss(causal_folder, "", response))
    assert answer.tokens_conditioned == answer.tokens_direct > 5
    assert not answer.truncated


def test_an_output_head_with_a_soft_cap_is_honoured(causal: LikelihoodModel, causal_folder: Path) -> None:
    capped = LikelihoodModel(causal_folder)
    plain_forward = capped._model.forward

    def forward(*args: object, **kwargs: object) -> object:
        outcome = plain_forward(*args, **kwargs)
        outcome.logits = 0.1 * torch.tanh(outcome.logits)
        return outcome

    capped._model.forward = forward
    capped._plain_head = capped._head_is_plain()
    assert causal._plain_head
    assert not capped._plain_head
    pair = ("Ann has 3 apples", "7 apples")
    vocabulary = capped._model.config.vocab_size
    assert capped.score([pair])[0].loss_direct == pytest.approx(math.log(vocabulary), abs=0.25)
    assert capped.score([pair])[0] != causal.score([pair])[0]


@pytest.mark.parametrize("response", ["", pytest.param("", id="again")])
def test_an_answer_without_tokens_has_no_losses(causal: LikelihoodModel, response: str) -> None:
    answer = causal.score([("question", response)])[0]
    assert math.isnan(answer.loss_conditioned)
    assert math.isnan(answer.loss_direct)
    assert (answer.tokens_conditioned, answer.tokens_direct, answer.truncated) == (0, 0, False)
    assert causal.score([]) == []


@pytest.mark.parametrize(
    ("instruction", "response"), [("long " * 500, "7"), ("q", "7 apples " * 500), ("小" * 900, "果" * 900)]
)
def test_what_exceeds_the_context_is_cut_and_said(causal: LikelihoodModel, instruction: str, response: str) -> None:
    answer = causal.score([(instruction, response)])[0]
    assert answer.truncated
    assert 0 < answer.tokens_conditioned == answer.tokens_direct < causal.context
    assert math.isfinite(answer.loss_conditioned)
    assert math.isfinite(answer.loss_direct)


def test_a_huge_text_takes_bounded_work_and_says_that_it_was_cut(causal: LikelihoodModel) -> None:
    answer = causal.score([("a" * 5_000_000, "b" * 5_000_000)])[0]
    assert answer.truncated
    assert answer.tokens_direct < causal.context


@given(ids, ids.filter(bool), st.integers(4, 64))
def test_both_passes_score_the_same_answer_tokens_within_the_context(
    prompt: list[int], answer: list[int], context: int
) -> None:
    passes = fit_passes(1, prompt, answer, context)
    assert passes.direct.scored == passes.conditioned.scored > 0
    assert max(len(passes.conditioned.ids), len(passes.direct.ids)) <= context
    kept = answer[: passes.direct.scored]
    assert (passes.direct.ids, passes.direct.start) == ([1, *kept], 1)
    rest = passes.conditioned.ids[1 : passes.conditioned.start]
    assert passes.conditioned.ids == [1, *rest, *kept]
    assert rest == prompt[len(prompt) - len(rest) :]
    assert passes.truncated == (len(prompt) + len(answer) + 1 > context)


def test_a_tokenizer_that_cannot_begin_a_pass_is_refused(causal_folder: Path, tmp_path: Path) -> None:
    import json
    import shutil

    folder = Path(shutil.copytree(causal_folder, tmp_path / "model"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    for name in ("bos_token", "eos_token"):
        settings.pop(name)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(UsageError, match="neither a BOS nor an EOS"):
        LikelihoodModel(folder)
