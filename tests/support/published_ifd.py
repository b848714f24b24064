"""IFD as the authors' scripts compute it, written down slowly: one sample, one pass, full logits at a time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from models.prompts import TEMPLATES

MARKERS = {"alpaca": ("### Response:", 4), "wizard": ("### Response:", 4), "vicuna": ("ASSISTANT:", 6)}


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


def cherry(code: Published, template: str, instruction: str, answer: str, length: int) -> float:
    marker, allowance = MARKERS[template]
    prompt = TEMPLATES[template](instruction)
    asked = len(code.tokenizer.encode(prompt)[:length])
    if length - asked <= 0 or not answer:
        return math.nan
    direct, losses_direct = code.span(marker + answer, answer, length - asked + allowance)
    conditioned, losses = code.span(prompt + answer, answer, length)
    if direct <= 0 or conditioned <= 0 or asked + direct > length:
        return math.nan
    return (sum(losses) / len(losses)) / (sum(losses_direct) / len(losses_direct))


def superfiltering(code: Published, template: str, instruction: str, answer: str, length: int) -> float:
    prompt = TEMPLATES[template](instruction)
    asked = len(code.tokenizer.encode(prompt)[:length])
    _, losses = code.span(prompt + answer, answer, length)
    direct_ids = code.tokenizer.encode(answer)[: length - asked + 1]
    losses_direct = code.token_losses(direct_ids) if len(direct_ids) > 1 else []
    if not losses or not losses_direct or not answer:
        return math.nan
    return math.exp(sum(losses) / len(losses) - sum(losses_direct) / len(losses_direct))


def own_rule(code: Published, template: str, instruction: str, answer: str, length: int) -> float:
    """The same answer tokens in both passes; a prompt that is too long loses its beginning, an answer its end."""
    prompt = code.tokenizer.encode(TEMPLATES[template](instruction), add_special_tokens=False)
    tokens = code.tokenizer.encode(answer, add_special_tokens=False)
    if not tokens:
        return math.nan
    tokens = tokens[: length - 1 - min(len(prompt), (length - 1) // 2)]
    room = length - 1 - len(tokens)
    prompt = prompt[len(prompt) - min(room, len(prompt)) :]
    losses = [code.token_losses([1, *before, *tokens])[len(before) :] for before in (prompt, [])]
    return sum(losses[0]) / sum(losses[1])
