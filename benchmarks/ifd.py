"""IFD in fixed-shape batches against a loop that asks the plain model for one sample and one pass at a time."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import torch

from benchmarks.figures import Figure, table
from benchmarks.selector import text_of
from models.build import BuildSettings, build_embedded_model
from models.likelihood import LikelihoodModel
from models.prompts import alpaca_prompt

PAIRS = 192
ROUNDS = 3
# The embedded model, hardly trained: speed does not depend on the weights.
RECIPE = BuildSettings(steps=2)


def one_at_a_time(model: Any, tokenizer: Any, pairs: list[tuple[str, str]]) -> list[float]:
    """Return loss ratios, with labels and the model's own loss, as scripts do."""
    ratios = []
    for instruction, response in pairs:
        losses = []
        answer = tokenizer(response, add_special_tokens=False)["input_ids"]
        for prompt in (alpaca_prompt(instruction), ""):
            start = [tokenizer.bos_token_id, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
            labels = torch.tensor([[-100] * len(start) + answer])
            losses.append(float(model(input_ids=torch.tensor([start + answer]), labels=labels).loss))
        ratios.append(losses[0] / losses[1])
    return ratios


def measure() -> list[Figure]:
    """Measure on one thread, in seconds of the processor; the best of three rounds in turn."""
    random = Random(0)
    pairs = [text_of(random) for _ in range(PAIRS)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            model = LikelihoodModel(build_embedded_model(pairs, Path(folder), settings=RECIPE).path)
            loop, batches = [], []
            for _ in range(ROUNDS):
                started = time.process_time()
                with torch.inference_mode():
                    slow = one_at_a_time(model._model, model._tokenizer, pairs)
                between = time.process_time()
                fast = [found.loss_conditioned / found.loss_direct for found in model.score(pairs)]
                loop.append(between - started)
                batches.append(time.process_time() - between)
    finally:
        torch.set_num_threads(threads)
    apart = max(abs(left - right) for left, right in zip(slow, fast, strict=True))
    return [
        Figure("IFD, samples/s on one thread", PAIRS / min(batches), "1/s"),
        Figure("IFD against one at a time, float32", min(loop) / min(batches), "times", 1.6),
        Figure("IFD, largest difference of a ratio", apart, "", 1e-5, below=True),
    ]


if __name__ == "__main__":
    sys.stdout.write(table(measure()) + "\n")
