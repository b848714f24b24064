"""IFD against the published definitions, each written down slowly: one sample, one pass, full logits at a time."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from limoflow.errors import UsageError
from models.layout import Layout
from models.likelihood import LikelihoodModel
from models.prompts import TEMPLATES

from .conftest import tiny_corpus

MARKERS = {"alpaca": ("### Response:", 4), "wizard": ("### Response:", 4), "vicuna": ("ASSISTANT:", 6)}
LENGTH = 192
PAIRS = [
    *tiny_corpus(12),
    ("Name a colour. " * 12, "Blue."),
    ("Name a colour. " * 200, "Blue."),
    ("Repeat it.", "again and again, " * 60),
    ("Say nothing.", ""),
    ("Ann has 3 apples", "\n\n 7"),
    ("yes", "yes yes"),
]


class Published:
    """The model and tokenizer as a published script holds them."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()

    def token_losses(self, ids: list[int]) -> list[float]:
        """Loss of ids[1], ids[2], ... each given all before it."""
        with torch.inference_mode():
            logits = self.model(input_ids=torch.tensor([ids])).logits[0]
        logs = torch.log_softmax(logits, dim=1)
        return [-float(logs[place, token]) for place, token in enumerate(ids[1:])]

    def span(self, text: str, answer: str, length: int) -> tuple[int, list[float]]:
        ids = self.tokenizer.encode(text)[:length]
        start = len(self.tokenizer.encode(text[: text.rfind(answer)]))
        losses = self.token_losses(ids)[max(0, start - 1) :] if ids else []
        return len(ids) - start, losses


def cherry(code: Published, template: str, instruction: str, answer: str) -> float:
    marker, allowance = MARKERS[template]
    prompt = TEMPLATES[template](instruction)
    asked = len(code.tokenizer.encode(prompt)[:LENGTH])
    if LENGTH - asked <= 0 or not answer:
        return math.nan
    direct, losses_direct = code.span(marker + answer, answer, LENGTH - asked + allowance)
    conditioned, losses = code.span(prompt + answer, answer, LENGTH)
    if direct <= 0 or conditioned <= 0 or asked + direct > LENGTH:
        return math.nan
    return (sum(losses) / len(losses)) / (sum(losses_direct) / len(losses_direct))


def superfiltering(code: Published, template: str, instruction: str, answer: str) -> float:
    prompt = TEMPLATES[template](instruction)
    asked = len(code.tokenizer.encode(prompt)[:LENGTH])
    _, losses = code.span(prompt + answer, answer, LENGTH)
    direct_ids = code.tokenizer.encode(answer)[: LENGTH - asked + 1]
    losses_direct = code.token_losses(direct_ids) if len(direct_ids) > 1 else []
    if not losses or not losses_direct or not answer:
        return math.nan
    return math.exp(sum(losses) / len(losses) - sum(losses_direct) / len(losses_direct))


@pytest.fixture(scope="module", params=["bos", "no_bos"])
def folder(request: pytest.FixtureRequest, causal_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a tokenizer that writes a first token (as Llama's), and with one that does not (GPT-2)."""
    if request.param == "no_bos":
        return causal_folder
    from tokenizers import Tokenizer, processors

    made = Path(shutil.copytree(causal_folder, tmp_path_factory.mktemp("bos") / "model"))
    tokenizer = Tokenizer.from_file(str(made / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    tokenizer.save(str(made / "tokenizer.json"))
    return made


@pytest.mark.parametrize(
    ("layout", "published", "ratio"),
    [
        ("alpaca:cherry", cherry, lambda c, d: c / d),
        ("wizard:cherry", cherry, lambda c, d: c / d),
        ("vicuna:cherry", cherry, lambda c, d: c / d),
        ("plain:superfiltering", superfiltering, lambda c, d: math.exp(c - d)),
    ],
)
def test_parity_with_the_published_definition(
    folder: Path,
    layout: str,
    published: Callable[[Published, str, str, str], float],
    ratio: Callable[[float, float], float],
) -> None:
    model, code = LikelihoodModel(folder), Published(folder)
    assert model.context == LENGTH
    found = model.score(PAIRS, layout)
    expected = [published(code, layout.split(":", maxsplit=1)[0], *pair) for pair in PAIRS]
    skipped = [math.isnan(value) for value in expected]
    assert 2 <= sum(skipped) < len(PAIRS) - 8
    for answer, value in zip(found, expected, strict=True):
        assert bool(answer.reason) == math.isnan(value)
        if math.isfinite(value):
            assert ratio(answer.loss_conditioned, answer.loss_direct) == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize("template", ["alpaca", "wizard", "vicuna", "plain"])
def test_our_rule_scores_the_same_tokens_after_every_template(causal_folder: Path, template: str) -> None:
    model, code = LikelihoodModel(causal_folder), Published(causal_folder)
    for (instruction, answer), found in zip(PAIRS[:4], model.score(PAIRS[:4], template), strict=True):
        prompt, tokens = code.tokenizer.encode(TEMPLATES[template](instruction)), code.tokenizer.encode(answer)
        for before, loss in (([1, *prompt], found.loss_conditioned), ([1], found.loss_direct)):
            losses = code.token_losses([*before, *tokens])[len(before) - 1 :]
            assert loss == pytest.approx(sum(losses) / len(losses), abs=1e-6)
        assert found.tokens_conditioned == found.tokens_direct == len(tokens)


def test_batch_size_and_padding_change_nothing(causal_folder: Path) -> None:
    from models.batches import BatchShape

    shapes = [BatchShape(rows=1, bucket=1), BatchShape(rows=3, bucket=64), BatchShape(rows=8, bucket=192, tokens=4096)]
    for layout in ("alpaca", "alpaca:cherry", "plain:superfiltering"):
        reference, *others = (LikelihoodModel(causal_folder, shape=shape).score(PAIRS, layout) for shape in shapes)
        for other in others:
            for one, two in zip(reference, other, strict=True):
                assert one.loss_conditioned == pytest.approx(two.loss_conditioned, abs=1e-6, nan_ok=True)
                assert one.loss_direct == pytest.approx(two.loss_direct, abs=1e-6, nan_ok=True)


def test_the_chat_template_of_the_tokenizer_is_used(causal_folder: Path) -> None:
    model = LikelihoodModel(causal_folder)
    with pytest.raises(UsageError, match="no chat template"):
        model.score(PAIRS[:1], "chat")
    model._tokenizer.chat_template = "<bos>{% for m in messages %}[{{ m.content }}]\n{% endfor %}"
    same = [(f"[{instruction}]", answer) for instruction, answer in PAIRS[:3]]
    assert model.score(PAIRS[:3], "chat") == model.score(same, "plain")


def test_labels_are_the_probabilities_of_the_next_token(causal_folder: Path) -> None:
    model, code = LikelihoodModel(causal_folder), Published(causal_folder)
    prompts = [f"Score of {instruction}: " for instruction, _ in PAIRS[:8]]
    alone = [model.labels([prompt])[0] for prompt in prompts]
    assert model.labels(prompts[::-1])[::-1] == alone
    for prompt, found in zip(prompts, alone, strict=True):
        for label, value in zip("123456", found, strict=True):
            ids = [*code.tokenizer.encode(prompt), *code.tokenizer.encode(label)]
            assert -value == pytest.approx(code.token_losses(ids)[-1], abs=1e-5)


@pytest.mark.parametrize("text", ["alpaka", "plain:cherry", "chat:superfiltering", "alpaca:other"])
def test_an_unknown_layout_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="known: none"):
        Layout.parse(text)
