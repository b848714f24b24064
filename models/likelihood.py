"""Teacher-forced likelihood of an answer with and without its instruction, the two losses under IFD.

Li et al., From Quantity to Quality: Boosting LLM Performance with Self-Guided Data Selection (Cherry_LLM), 2024. Unlike
the authors' code, the answer is tokenised on its own and the same token ids are scored in both passes: the conditioned
pass reads BOS, the Alpaca prompt and the answer, the direct pass BOS and the answer. The ratio is the caller's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limoflow.errors import UsageError
from limoflow.inference.types import AnswerLikelihood
from models.batches import BatchShape, FixedBatch, fixed_batches
from models.prompts import alpaca_prompt

SHAPE = BatchShape(rows=8, bucket=32, tokens=512)
HEAD_ROWS = 128
MAX_CONTEXT = 4096
CHARACTERS_PER_TOKEN = 32


@dataclass(frozen=True, slots=True)
class Passes:
    """Token ids of both passes of one pair.

    Attributes
    ----------
    conditioned, direct : list of int
        Inputs of the passes; empty where the answer has no tokens.
    answer : int
        Number of answer tokens, the last ones of both inputs.
    truncated : bool
        Whether the prompt or the answer was cut to fit the context.
    """

    conditioned: list[int]
    direct: list[int]
    answer: int
    truncated: bool


def fit_passes(bos: int, prompt: list[int], answer: list[int], context: int) -> Passes:
    """Lay out both passes within `context` tokens.

    The prompt may always keep half of the context; an answer that is longer than what is left loses its end, then a
    prompt that is longer than what is left loses its beginning (its end holds the question and the answer's marker).

    Parameters
    ----------
    bos : int
        Id of the token that begins both passes.
    prompt, answer : list of int
        Token ids.
    context : int
        Most tokens of one pass, at least 4.
    """
    if not answer:
        return Passes([], [], 0, truncated=False)
    room = context - 1
    kept_answer = answer[: room - min(len(prompt), room // 2)]
    kept_prompt = prompt[max(0, len(prompt) - (room - len(kept_answer))) :]
    cut = len(kept_answer) < len(answer) or len(kept_prompt) < len(prompt)
    return Passes([bos, *kept_prompt, *kept_answer], [bos, *kept_answer], len(kept_answer), cut)


class LikelihoodModel:
    """A causal language model on the CPU whose answer to a pair does not depend on the batch.

    Parameters
    ----------
    path : Path
        Folder with config, weights and tokenizer of a causal language model.
    dtype : str
        Precision of weights and activations, "float32" or "bfloat16" (which reorders close ratios).
    shape : BatchShape
        Shapes of the forward passes.

    Raises
    ------
    UsageError
        If the tokenizer has neither a BOS nor an EOS token to begin a pass with.
    """

    def __init__(self, path: Path, dtype: str = "float32", shape: BatchShape = SHAPE) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
        loaded: Any = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
        self._model = loaded.eval()
        self._shape = shape
        self._bos = _first_token(self._tokenizer, path)
        positions = getattr(self._model.config, "max_position_embeddings", None) or MAX_CONTEXT
        self.context: int = min(int(positions), MAX_CONTEXT)
        self._plain_head = self._head_is_plain()

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[AnswerLikelihood]:
        """Return the likelihood of each response of `pairs` = (instruction, response), in their order.

        An empty response, or one without tokens, has NaN losses and 0 tokens.
        """
        passes = self._passes(pairs)
        sequences = [ids for pair in passes for ids in (pair.conditioned, pair.direct)]
        answers = [pair.answer for pair in passes for _ in range(2)]
        losses = self._mean_losses(sequences, answers)
        return [
            AnswerLikelihood(losses[2 * i], losses[2 * i + 1], pair.answer, pair.answer, pair.truncated)
            for i, pair in enumerate(passes)
        ]

    def _passes(self, pairs: Sequence[tuple[str, str]]) -> list[Passes]:
        if not pairs:
            return []
        limit = self.context * CHARACTERS_PER_TOKEN
        prompts = self._encode([alpaca_prompt(instruction[-limit:]) for instruction, _ in pairs])
        answers = self._encode([response[:limit] for _, response in pairs])
        result = []
        for (instruction, response), prompt, answer in zip(pairs, prompts, answers, strict=True):
            fitted = fit_passes(self._bos, prompt, answer, self.context)
            cut = fitted.truncated or (fitted.answer > 0 and max(len(instruction), len(response)) > limit)
            result.append(Passes(fitted.conditioned, fitted.direct, fitted.answer, cut))
        return result

    def _encode(self, texts: list[str]) -> list[list[int]]:
        encoded = self._tokenizer(texts, add_special_tokens=False, padding=False, truncation=False, verbose=False)
        return [list(ids) for ids in encoded["input_ids"]]

    def _mean_losses(self, sequences: list[list[int]], answers: list[int]) -> list[float]:
        scored = [index for index, count in enumerate(answers) if count]
        result = [math.nan] * len(sequences)
        with torch.inference_mode():
            for batch in fixed_batches([sequences[index] for index in scored], self._shape, self._bos):
                members = [scored[index] for index in batch.members]
                spans = [(len(sequences[index]) - answers[index], len(sequences[index])) for index in members]
                losses = self._answer_losses(batch, spans).tolist()
                for index, (start, stop) in zip(members, spans, strict=True):
                    result[index] = math.fsum(losses[: stop - start]) / (stop - start)
                    del losses[: stop - start]
        return result

    def _answer_losses(self, batch: FixedBatch, spans: list[tuple[int, int]]) -> Tensor:
        """Return the losses of the tokens at `spans` (start, stop) of the rows, one row after the other."""
        # Right padding cannot reach an earlier position of a causal model, so no mask is needed.
        rows = torch.cat([torch.full((stop - start,), row) for row, (start, stop) in enumerate(spans)])
        places = torch.cat([torch.arange(start, stop) for start, stop in spans])
        targets = batch.ids[rows, places]
        if not self._plain_head:
            logits = self._model(input_ids=batch.ids, use_cache=False).logits
            return _token_losses(logits[rows, places - 1], targets)
        hidden = self._model.base_model(input_ids=batch.ids, use_cache=False).last_hidden_state
        return self._head_losses(hidden[rows, places - 1], targets)

    def _head_losses(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return token losses; the vocabulary is multiplied in blocks of fixed shape, so memory stays bounded."""
        head = self._model.get_output_embeddings()
        blocks = []
        for start in range(0, len(hidden), HEAD_ROWS):
            block = hidden[start : start + HEAD_ROWS]
            filled = torch.zeros((HEAD_ROWS, hidden.shape[1]), dtype=hidden.dtype)
            filled[: len(block)] = block
            blocks.append(_token_losses(head(filled)[: len(block)], targets[start : start + HEAD_ROWS]))
        return torch.cat(blocks)

    def _head_is_plain(self) -> bool:
        """Whether logits are the output embedding of the base model's states (no scaling, no soft cap)."""
        head = self._model.get_output_embeddings()
        if head is None or self._model.base_model is self._model:
            return False
        probe = torch.full((1, 4), self._bos, dtype=torch.long)
        with torch.inference_mode():
            expected = self._model(input_ids=probe, use_cache=False).logits
            found = head(self._model.base_model(input_ids=probe, use_cache=False).last_hidden_state)
        return found.shape == expected.shape and bool(torch.allclose(found, expected, rtol=1e-3, atol=1e-3))


def _token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")


def _first_token(tokenizer: Any, path: Path) -> int:
    for candidate in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if candidate is not None:
            return int(candidate)
    raise UsageError(f"causal model {path}: its tokenizer has neither a BOS nor an EOS token to begin a pass with")
