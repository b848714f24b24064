"""IFD against the published definitions, each written down slowly: one sample, one pass, full logits at a time."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from limoflow.errors import UsageError
from models.layout import Layout
from models.likelihood import LikelihoodModel
from models.prompts import TEMPLATES
from tests.support.published_ifd import Published, cherry, superfiltering

from .conftest import tiny_corpus

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
    published: Callable[[Published, str, str, str, int], float],
    ratio: Callable[[float, float], float],
) -> None:
    model, code = LikelihoodModel(folder), Published(folder)
    assert model.context == LENGTH
    found = model.score(PAIRS, layout)
    expected = [published(code, layout.split(":", maxsplit=1)[0], *pair, LENGTH) for pair in PAIRS]
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
