"""Teacher-forced likelihood of an answer with and without its instruction, the two losses under IFD.

Li et al., From Quantity to Quality: Boosting LLM Performance with Self-Guided Data Selection (Cherry_LLM), 2024. Which
tokens both passes read and score says `models.layout`; the ratio is the caller's. The same model also says how probable
the labels 1 to 6 are after a prompt, which is how DEITA's scorers are read (Liu et al. 2024).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from limoflow.errors import UsageError
from limoflow.inference.types import DEFAULT_LAYOUT, LABELS, AnswerLikelihood
from models.batches import BatchShape, FixedBatch, fixed_batches
from models.device import CPU, compute_exactly
from models.layout import CHARACTERS_PER_TOKEN, Layout, Pass, Passes, PassMaker

SHAPE = BatchShape(rows=4, bucket=32, tokens=1024)
HEAD_ROWS = 32
MAX_CONTEXT = 4096
ALIGNED = 4


class LikelihoodModel:
    """A causal language model whose answer to a pair does not depend on the batch.

    Parameters
    ----------
    path : Path
        Folder with config, weights and tokenizer of a causal language model.
    dtype : str
        Precision of weights and activations, "float32" or "bfloat16" (which reorders close ratios).
    shape : BatchShape
        Shapes of the forward passes.
    workers : int
        Passes computed at the same time, each on one thread: small products gain from a core each, and hardly from
        sharing one. With 1 they run on the caller's thread, and on as many threads as torch is set to.
    device : str
        "cpu" or a GPU, such as "cuda:0" (see `models.device`); they differ in the last digits.

    Raises
    ------
    UsageError
        If the tokenizer has neither a BOS nor an EOS token to begin a pass with.
    """

    def __init__(
        self,
        path: Path,
        dtype: str = "float32",
        shape: BatchShape = SHAPE,
        workers: int = 1,
        *,
        device: str = CPU,
    ) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        compute_exactly(device)
        self._device = device
        self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
        loaded: Any = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
        self._model = loaded.to(device).eval()
        self._shape = shape
        self._bos = _first_token(self._tokenizer, path)
        positions = getattr(self._model.config, "max_position_embeddings", None) or MAX_CONTEXT
        self.context: int = min(int(positions), MAX_CONTEXT)
        self._maker = PassMaker(self._tokenizer, self._bos, self.context)
        self._plain_head = self._head_is_plain()
        self._workers = ThreadPoolExecutor(workers, "likelihood", torch.set_num_threads, (1,)) if workers > 1 else None

    def score(
        self, pairs: Sequence[tuple[str, str]], layouts: Sequence[str] | str = DEFAULT_LAYOUT
    ) -> list[AnswerLikelihood]:
        """Return the likelihood of each response of `pairs` = (instruction, response), in their order.

        Where nothing can be scored, the losses are NaN, the counts 0, and `reason` says why.

        Parameters
        ----------
        pairs : sequence of (str, str)
        layouts : str or sequence of str
            How the passes are laid out (`models.layout.Layout`), for all pairs or for each.

        Raises
        ------
        UsageError
            When there is no such layout.
        """
        wanted = [layouts] * len(pairs) if isinstance(layouts, str) else list(layouts)
        passes: dict[int, Passes] = {}
        for name in sorted(set(wanted)):
            members = [index for index, layout in enumerate(wanted) if layout == name]
            made = self._maker.passes([pairs[index] for index in members], Layout.parse(name))
            passes.update(zip(members, made, strict=True))
        ordered = [passes[index] for index in range(len(pairs))]
        losses = self._mean_losses([one for both in ordered for one in (both.conditioned, both.direct)])
        return [
            AnswerLikelihood(
                losses[2 * i],
                losses[2 * i + 1],
                both.conditioned.scored,
                both.direct.scored,
                both.truncated,
                both.reason,
            )
            for i, both in enumerate(ordered)
        ]

    def labels(self, prompts: Sequence[str]) -> list[tuple[float, ...]]:
        """Return ln p of each label "1" to "6" as the token after each prompt, which is cut from its left to fit.

        Raises
        ------
        UsageError
            When the tokenizer does not give every label a token of its own.
        """
        if not prompts:
            return []
        ids = self._label_ids()
        limit = self.context * CHARACTERS_PER_TOKEN
        encoded = [self._tokenizer(text[-limit:], verbose=False)["input_ids"] for text in prompts]
        sequences = [(list(one) or [self._bos])[-self.context :] for one in encoded]
        result: list[tuple[float, ...]] = [()] * len(sequences)
        with torch.inference_mode():
            for batch in fixed_batches(sequences, self._shape, self._bos):
                rows = torch.arange(len(batch.members))
                last = torch.tensor([len(sequences[index]) - 1 for index in batch.members])
                logits = torch.cat(list(self._logits(batch.ids, rows, last))).float()
                found = torch.log_softmax(_aligned(logits), dim=1)[:, ids]
                for index, line in zip(batch.members, found.tolist(), strict=True):
                    result[index] = tuple(line)
        return result

    def _label_ids(self) -> list[int]:
        ids = [self._tokenizer(label, add_special_tokens=False)["input_ids"][-1] for label in LABELS]
        if len(set(ids)) < len(LABELS) or getattr(self._tokenizer, "unk_token_id", None) in ids:
            raise UsageError(f"the scorer's tokenizer does not tell the labels {', '.join(LABELS)} apart: {ids}")
        return ids

    def _mean_losses(self, passes: Sequence[Pass]) -> list[float]:
        scored = [index for index, one in enumerate(passes) if one.scored]
        result = [math.nan] * len(passes)

        def computed(batch: FixedBatch) -> list[tuple[int, float]]:
            members = [scored[index] for index in batch.members]
            spans = [(passes[index].start, len(passes[index].ids)) for index in members]
            with torch.inference_mode():
                losses = self._answer_losses(batch, spans).tolist()
            means = []
            for start, stop in spans:
                means.append(math.fsum(losses[: stop - start]) / (stop - start))
                del losses[: stop - start]
            return list(zip(members, means, strict=True))

        batches = fixed_batches([passes[index].ids for index in scored], self._shape, self._bos)
        for found in self._workers.map(computed, batches) if self._workers else map(computed, batches):
            for index, loss in found:
                result[index] = loss
        return result

    def _answer_losses(self, batch: FixedBatch, spans: list[tuple[int, int]]) -> Tensor:
        """Return the losses of the tokens at `spans` (start, stop) of the rows, one row after the other."""
        # Right padding cannot reach an earlier position of a causal model, so no mask is needed.
        rows = torch.cat([torch.full((stop - start,), row) for row, (start, stop) in enumerate(spans)])
        places = torch.cat([torch.arange(start, stop) for start, stop in spans])
        targets = batch.ids[rows, places].to(self._device)
        losses, start = [], 0
        for logits in self._logits(batch.ids, rows, places - 1):
            losses.append(_token_losses(logits, targets[start : start + len(logits)]))
            start += len(logits)
        return torch.cat(losses)

    def _logits(self, ids: Tensor, rows: Tensor, places: Tensor) -> Iterator[Tensor]:
        """Yield the logits at `places` of `rows`, in their order.

        The vocabulary is multiplied in blocks of fixed shape: bounded memory, and the same bits in any company.
        """
        ids, rows, places = (one.to(self._device) for one in (ids, rows, places))
        if not self._plain_head:
            yield self._model(input_ids=ids, use_cache=False).logits[rows, places]
            return
        head = self._model.get_output_embeddings()
        hidden = self._model.base_model(input_ids=ids, use_cache=False).last_hidden_state[rows, places]
        for start in range(0, len(hidden), HEAD_ROWS):
            block = hidden[start : start + HEAD_ROWS]
            filled = torch.zeros((HEAD_ROWS, hidden.shape[1]), dtype=hidden.dtype, device=hidden.device)
            filled[: len(block)] = block
            yield head(filled)[: len(block)]

    def _head_is_plain(self) -> bool:
        """Whether logits are the output embedding of the base model's states (no scaling, no soft cap)."""
        head = self._model.get_output_embeddings()
        if head is None or self._model.base_model is self._model:
            return False
        probe = torch.full((1, 4), self._bos, dtype=torch.long, device=self._device)
        with torch.inference_mode():
            expected = self._model(input_ids=probe, use_cache=False).logits
            found = head(self._model.base_model(input_ids=probe, use_cache=False).last_hidden_state)
        return found.shape == expected.shape and bool(torch.allclose(found, expected, rtol=1e-3, atol=1e-3))


def _token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(_aligned(logits.float()), targets, reduction="none")


def _aligned(logits: Tensor) -> Tensor:
    """Return logits of which every row begins at a multiple of 16 bytes, where they are on a GPU.

    Its softmax adds up a row of odd length in an order that depends on where in memory the row begins.
    """
    if logits.device.type == CPU:
        return logits
    return torch.nn.functional.pad(logits, (0, -logits.shape[1] % ALIGNED), value=-math.inf)


def _first_token(tokenizer: Any, path: Path) -> int:
    for candidate in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if candidate is not None:
            return int(candidate)
    raise UsageError(f"causal model {path}: its tokenizer has neither a BOS nor an EOS token to begin a pass with")
