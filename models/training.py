"""Training of the embedded model: byte-level BPE, a small Llama, packed rows, AdamW."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.block_loss import BlockCrossEntropy
from models.corpus import Corpus
from models.prompts import alpaca_prompt

if TYPE_CHECKING:
    from models.build import BuildSettings, Progress

PAD, BOS, EOS = 0, 1, 2
SPECIAL_TOKENS = ["<pad>", "<bos>", "<eos>"]
REPORT_EVERY = 10
OPEN_ROWS = 32
WARM_UP = 0.05


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What training saw and reached.

    Attributes
    ----------
    tokens : int
        Tokens trained on, repeats included.
    steps : int
        Optimiser steps.
    parameters : int
        Weights of the model.
    final_loss : float
        Mean training loss of the last tenth of the steps, nats per token.
    """

    tokens: int
    steps: int
    parameters: int
    final_loss: float


def train(corpus: Corpus, recipe: BuildSettings, folder: Path, progress: Progress | None) -> TrainingOutcome:
    """Train tokenizer and model on `corpus` and save both into `folder` in the transformers layout."""
    texts = [(_clean(i, recipe.characters), _clean(r, recipe.characters)) for i, r in corpus.pairs]
    tokenizer = _train_tokenizer(texts, recipe)
    rows = _pack(_sequences(texts, tokenizer), recipe)
    with _reproducible(recipe):
        model = _new_model(recipe, tokenizer.get_vocab_size())
        outcome = _optimise(model, rows, recipe, progress)
    model.save_pretrained(folder, safe_serialization=True)
    _save_tokenizer(tokenizer, recipe, folder)
    return outcome


def _clean(text: str, characters: int) -> str:
    return text[:characters].encode("utf-8", "replace").decode("utf-8")


def _train_tokenizer(texts: list[tuple[str, str]], recipe: BuildSettings) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=24,
        show_progress=False,
    )
    # The template is in every conditioned pass, so its words deserve tokens of their own.
    template = [alpaca_prompt("")] * len(texts)
    tokenizer.train_from_iterator([*template, *(text for pair in texts for text in pair)], trainer)
    return tokenizer


def _sequences(texts: list[tuple[str, str]], tokenizer: Any) -> list[list[int]]:
    """Return conditioned sequences of all pairs and direct ones of every second, so that both passes are known."""
    prompts = tokenizer.encode_batch([alpaca_prompt(instruction) for instruction, _ in texts], add_special_tokens=False)
    answers = tokenizer.encode_batch([response for _, response in texts], add_special_tokens=False)
    conditioned = [[BOS, *p.ids, *a.ids, EOS] for p, a in zip(prompts, answers, strict=True)]
    direct = [[BOS, *answer.ids, EOS] for answer in answers[::2]]
    return conditioned + direct


def _pack(sequences: list[list[int]], recipe: BuildSettings) -> Tensor:
    """Return rows of whole sequences, int64, shape (rows, block), in a seeded order; the rest of a row is padding."""
    random.Random(recipe.seed).shuffle(sequences)  # noqa: S311 - an order, not a secret
    rows: list[list[int]] = []
    for sequence in sequences:
        kept = sequence[: recipe.block]
        open_rows = (row for row in rows[-OPEN_ROWS:] if len(row) + len(kept) <= recipe.block)
        row = next(open_rows, None)
        if row is None:
            rows.append(row := [])
        row.extend(kept)
    packed = torch.full((len(rows), recipe.block), PAD, dtype=torch.long)
    for index, row in enumerate(rows):
        packed[index, : len(row)] = torch.tensor(row)
    return packed


@contextmanager
def _reproducible(recipe: BuildSettings) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            yield
    finally:
        torch.set_num_threads(threads)


def _new_model(recipe: BuildSettings, vocabulary: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.intermediate,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=recipe.context,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    new: Any = LlamaForCausalLM
    return new(config)


def _optimise(model: Any, rows: Tensor, recipe: BuildSettings, progress: Progress | None) -> TrainingOutcome:
    steps = max(1, min(recipe.steps, recipe.epochs * len(rows) // recipe.rows))
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    losses: list[float] = []
    tokens = 0
    model.train()
    for step, batch in zip(range(1, steps + 1), _batches(rows, recipe), strict=False):
        loss = _loss(model, batch)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
        tokens += int((batch != PAD).sum())
        if progress is not None and (step % REPORT_EVERY == 0 or step == steps):
            progress(step, steps, losses[-1])
    model.eval()
    tail = losses[-max(1, steps // 10) :]
    return TrainingOutcome(tokens, steps, sum(p.numel() for p in model.parameters()), sum(tail) / len(tail))


def _rate(step: int, steps: int) -> float:
    warm_up = max(1, round(steps * WARM_UP))
    return min((step + 1) / warm_up, max(0.0, (steps - step) / max(1, steps - warm_up)))


def _batches(rows: Tensor, recipe: BuildSettings) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(recipe.seed)
    while True:
        order = torch.randperm(len(rows), generator=generator)
        for start in range(0, len(rows), recipe.rows):
            yield rows[order[start : start + recipe.rows]]


def _loss(model: Any, batch: Tensor) -> Tensor:
    # Padding stands last in a row and reaches no earlier position, so no mask is needed.
    hidden = model.base_model(input_ids=batch, use_cache=False).last_hidden_state[:, :-1]
    targets = batch[:, 1:]
    real = targets != PAD
    loss: Tensor = BlockCrossEntropy.apply(hidden[real], model.get_output_embeddings().weight, targets[real])
    return loss


def _save_tokenizer(tokenizer: Any, recipe: BuildSettings, folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    pad, bos, eos = SPECIAL_TOKENS
    new: Any = PreTrainedTokenizerFast
    wrapped = new(
        tokenizer_object=tokenizer, pad_token=pad, bos_token=bos, eos_token=eos, model_max_length=recipe.context
    )
    wrapped.save_pretrained(folder)
