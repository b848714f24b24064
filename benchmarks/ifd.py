"""IFD in fixed-shape batches against a loop that asks the plain model for one sample and one pass at a time."""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.figures import Figure, table
from benchmarks.selector import text_of
from models.build import BuildSettings, build_embedded_model
from models.likelihood import LikelihoodModel
from models.prompts import alpaca_prompt

PAIRS = 192
ROUNDS = 5
# The embedded model, hardly trained: speed does not depend on the weights.
RECIPE = BuildSettings(steps=2)


class Plain:
    """The model as transformers loads it, asked for one pass at a time, with labels and its own loss, as scripts do."""

    def __init__(self, path: Path) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(path)
        loaded: Any = AutoModelForCausalLM.from_pretrained(path)
        self._model = loaded.eval()

    @torch.inference_mode()
    def ratios(self, pairs: list[tuple[str, str]]) -> list[float]:
        """Return loss ratios."""
        return [self._loss(alpaca_prompt(asked), answer) / self._loss("", answer) for asked, answer in pairs]

    def _loss(self, prompt: str, response: str) -> float:
        answer = self._tokenizer(response, add_special_tokens=False)["input_ids"]
        start = [self._tokenizer.bos_token_id, *self._tokenizer(prompt, add_special_tokens=False)["input_ids"]]
        labels = torch.tensor([[-100] * len(start) + answer])
        return float(self._model(input_ids=torch.tensor([start + answer]), labels=labels).loss)


def measure() -> list[Figure]:
    """Measure wall clock on every core, and processor seconds on one; the best of some rounds in turn.

    The loop has torch on every core, as scripts run it, and on one thread, whichever is faster here.
    """
    random = Random(0)
    pairs = [text_of(random) for _ in range(PAIRS)]
    cores, threads = len(os.sched_getaffinity(0)), torch.get_num_threads()
    best: dict[str, float] = {}

    def timed(name: str, clock: Callable[[], float], compute: Callable[[], list[float]]) -> list[float]:
        started = clock()
        found = compute()
        best[name] = min(best.get(name, math.inf), clock() - started)
        return found

    try:
        with tempfile.TemporaryDirectory() as folder:
            path = build_embedded_model(pairs, Path(folder), settings=RECIPE).path
            plain, one, every = Plain(path), LikelihoodModel(path), LikelihoodModel(path, workers=cores)
            for _ in range(ROUNDS):
                torch.set_num_threads(cores)
                timed("loop", time.perf_counter, lambda: plain.ratios(pairs))
                torch.set_num_threads(1)
                slow = timed("loop", time.perf_counter, lambda: plain.ratios(pairs))
                timed("loop of a core", time.process_time, lambda: plain.ratios(pairs))
                timed("core", time.process_time, lambda: ratios(one, pairs))
                fast = timed("every core", time.perf_counter, lambda: ratios(every, pairs))
    finally:
        torch.set_num_threads(threads)
    apart = max(abs(left - right) for left, right in zip(slow, fast, strict=True))
    return [
        Figure(f"IFD, samples/s on {cores} cores", PAIRS / best["every core"], "1/s"),
        Figure(f"IFD against one at a time, float32, {cores} cores", best["loop"] / best["every core"], "times", 1.6),
        Figure("the same on one core", best["loop of a core"] / best["core"], "times"),
        Figure("IFD, largest difference of a ratio", apart, "", 1e-5, below=True),
    ]


def ratios(model: LikelihoodModel, pairs: list[tuple[str, str]]) -> list[float]:
    """Return loss ratios of the batched model."""
    return [found.loss_conditioned / found.loss_direct for found in model.score(pairs)]


if __name__ == "__main__":
    sys.stdout.write(table(measure()) + "\n")
