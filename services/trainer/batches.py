"""Rows as token ids, with the loss on the answer only; their order; their padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.prompts import alpaca_prompt

IGNORED = -100
POOL_BATCHES = 16


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row.

    Attributes
    ----------
    ids : list of int
        Tokens of prompt, answer and end of sequence.
    prompt : int
        How many of them are the prompt, which bears no loss.
    """

    ids: list[int]
    prompt: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded on the right to the longest: `ids`, `mask` and `labels` are int64, shape (rows, width)."""

    ids: Tensor
    mask: Tensor
    labels: Tensor

    @property
    def answer_tokens(self) -> int:
        """How many tokens bear a loss; the first of a row is never predicted."""
        return int((self.labels[:, 1:] != IGNORED).sum())

    def on(self, device: torch.device) -> Batch:
        """Return the batch on a device; itself where it is there."""
        return Batch(self.ids.to(device), self.mask.to(device), self.labels.to(device))


def encode(tokenizer: Any, row: dict[str, Any], max_length: int) -> Encoded:
    """Encode one row with the tokenizer's chat template or, where it has none, the Alpaca prompt.

    Prompt and answer are encoded apart, so no token spans the border between them. A row that is too long keeps at
    least half of `max_length` for the answer: the answer loses its end, the prompt its beginning.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    row : dict
        `instruction`, `response`, and `earlier` turns (may be empty).
    max_length : int
        Most tokens of a row, at least 2.
    """
    prompt = _prompt(tokenizer, row)
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    answer = tokenizer.encode(row["response"], add_special_tokens=False) + end
    answer = answer[: max(max_length // 2, max_length - len(prompt))]
    room = max_length - len(answer)
    prompt = prompt[len(prompt) - min(room, len(prompt)) :]
    return Encoded(prompt + answer, len(prompt))


def collate(rows: Sequence[Encoded], padding: int) -> Batch:
    """Pad rows to the longest of them."""
    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), padding, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for index, row in enumerate(rows):
        tokens = torch.tensor(row.ids, dtype=torch.long)
        ids[index, : len(tokens)] = tokens
        mask[index, : len(tokens)] = 1
        labels[index, row.prompt : len(tokens)] = tokens[row.prompt :]
    return Batch(ids, mask, labels)


def batches(
    rows: Sequence[Encoded], size: int, epochs: int, seed: int, padding: int, *, skip: int = 0
) -> Iterator[Batch]:
    """Yield the batches of a training in an order that depends on `seed` and epoch alone.

    Parameters
    ----------
    rows : sequence of Encoded
    size : int
        Rows of a batch; one of an epoch may have fewer.
    epochs : int
    seed : int
    padding : int
        Token id that fills; it bears no loss and is masked.
    skip : int
        Leave out this many batches: those that a checkpoint has seen.
    """
    position = 0
    for epoch in range(epochs):
        for members in _order(rows, size, seed * 1_000_003 + epoch):
            if position >= skip:
                yield collate([rows[index] for index in members], padding)
            position += 1


def _order(rows: Sequence[Encoded], size: int, seed: int) -> list[list[int]]:
    """Return a random order in batches of rows of similar length, which saves padding."""
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(rows), generator=generator).tolist()
    pool = size * POOL_BATCHES
    chosen: list[list[int]] = []
    for start in range(0, len(rows), pool):
        near = sorted(shuffled[start : start + pool], key=lambda index: len(rows[index].ids))
        chosen.extend(near[at : at + size] for at in range(0, len(near), size))
    return [chosen[index] for index in torch.randperm(len(chosen), generator=generator).tolist()]


def _prompt(tokenizer: Any, row: dict[str, Any]) -> list[int]:
    if tokenizer.chat_template:
        turns = [*row["earlier"], {"role": "user", "content": row["instruction"]}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return list(tokenizer.encode(text, add_special_tokens=False))
    history = "".join(f"{turn['role']}: {turn['content']}\n" for turn in row["earlier"])
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return begin + list(tokenizer.encode(alpaca_prompt(history + row["instruction"]), add_special_tokens=False))
