from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from models.prompts import alpaca_prompt
from services.trainer.batches import IGNORED, Encoded, batches, collate, encode


@pytest.fixture(scope="module")
def tokenizer(base):
    return AutoTokenizer.from_pretrained(base)


def row(instruction="Add 1 to 2.", response="It is 3.", earlier=()):
    return {"instruction": instruction, "response": response, "earlier": list(earlier)}


def test_a_row_is_prompt_answer_and_end_and_only_the_answer_is_learnt(tokenizer):
    encoded = encode(tokenizer, row(), 512)
    assert tokenizer.decode(encoded.ids[: encoded.prompt]) == "<bos>" + alpaca_prompt("Add 1 to 2.")
    assert tokenizer.decode(encoded.ids[encoded.prompt :]) == "It is 3.<eos>"
    labels = collate([encoded], 0).labels[0]
    assert (labels[: encoded.prompt] == IGNORED).all()
    assert labels[encoded.prompt :].tolist() == encoded.ids[encoded.prompt :]


def test_a_chat_template_takes_the_place_of_the_alpaca_prompt(base):
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[a]{% endif %}"
    )
    encoded = encode(tokenizer, row(earlier=[{"role": "system", "content": "Be brief."}]), 512)
    assert tokenizer.decode(encoded.ids[: encoded.prompt]) == "[system]Be brief.[user]Add 1 to 2.[a]"


def test_without_a_template_earlier_turns_stand_before_the_instruction(tokenizer):
    encoded = encode(tokenizer, row(earlier=[{"role": "user", "content": "Hello."}]), 512)
    assert "user: Hello.\nAdd 1 to 2." in tokenizer.decode(encoded.ids[: encoded.prompt])


@given(st.integers(2, 80), st.text(max_size=60), st.text(max_size=120))
def test_no_row_is_too_long_and_every_row_keeps_some_of_its_answer(tokenizer, length, instruction, response):
    whole = encode(tokenizer, row(instruction, response), 10_000)
    cut = encode(tokenizer, row(instruction, response), length)
    answer, kept = whole.ids[whole.prompt :], cut.ids[cut.prompt :]
    assert len(cut.ids) == min(length, len(whole.ids))
    assert kept
    assert kept == answer[: len(kept)]
    assert cut.ids[: cut.prompt] == whole.ids[: whole.prompt][whole.prompt - cut.prompt :]
    assert len(kept) >= min(len(answer), length // 2)


def test_padding_is_masked_and_bears_no_loss():
    batch = collate([Encoded([5, 6, 7, 8], 2), Encoded([9, 4], 1)], padding=0)
    assert batch.ids.tolist() == [[5, 6, 7, 8], [9, 4, 0, 0]]
    assert batch.mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch.labels.tolist() == [[IGNORED, IGNORED, 7, 8], [IGNORED, 4, IGNORED, IGNORED]]
    assert batch.answer_tokens == 3


@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 3), st.integers(0, 2**40), st.data())
def test_each_epoch_sees_every_row_once_and_skipping_gives_the_rest_of_the_same_order(rows, size, epochs, seed, data):
    encoded = [Encoded([index + 1], 0) for index in range(rows)]
    whole = [batch.ids.flatten().tolist() for batch in batches(encoded, size, epochs, seed, 0)]
    per_epoch = -(-rows // size)
    for epoch in range(epochs):
        seen = [number for batch in whole[epoch * per_epoch : (epoch + 1) * per_epoch] for number in batch]
        assert sorted(seen) == list(range(1, rows + 1))
    skip = data.draw(st.integers(0, len(whole)))
    rest = [batch.ids.flatten().tolist() for batch in batches(encoded, size, epochs, seed, 0, skip=skip)]
    assert rest == whole[skip:]


def test_epochs_and_seeds_have_orders_of_their_own():
    encoded = [Encoded([index], 0) for index in range(50)]
    first, second = (torch.stack([b.ids[0] for b in batches(encoded, 1, 2, 7, 0)]).flatten().view(2, 50)).tolist()
    other = [batch.ids.item() for batch in batches(encoded, 1, 1, 8, 0)]
    assert len({tuple(first), tuple(second), tuple(other)}) == 3
