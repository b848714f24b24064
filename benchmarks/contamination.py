"""Decontamination: building the index of benchmarks, opening it, and comparing GSM8K's training set with it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from benchmarks.figures import Figure, table
from services.verifier.contamination.index import Index, open_index
from services.verifier.contamination.items import benchmark_files

Made = TypeVar("Made")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BENCHMARKS = (
    "bbh/*.json",
    "gsm8k/test.jsonl",
    "hotpotqa/*.json",
    "humaneval/*.jsonl.gz",
    "mbpp/*.jsonl",
    "mmlu/*.zip",
    "self_instruct_seed/*.jsonl",
    "spider/dev.json",
)


def measure() -> list[Figure]:
    """Return the figures; none where the data sets are absent."""
    if not DATA.exists():
        return []
    rows = [json.loads(line) for line in (DATA / "gsm8k" / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    files = benchmark_files(BENCHMARKS, DATA)
    with tempfile.TemporaryDirectory() as folder:
        built, index = _timed(lambda: open_index(files, Path(folder)))
        opened, index = _timed(lambda: open_index(files, Path(folder)))
        compared, clean = _timed(
            lambda: _found(index, [row["question"] for row in rows], [row["answer"] for row in rows])
        )
        test = [json.loads(line) for line in (DATA / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()]
        whole = _found(index, [f"Solve this. {row['question']} Think well." for row in test], [""] * len(test))
        halves = [row["question"].split() for row in test]
        half = _found(index, [" ".join(words[: max(16, len(words) // 2)]) for words in halves], [""] * len(test))
    return [
        Figure("contamination: index and comparison of 7,473 samples", built + compared, "s", 20, below=True),
        Figure("contamination: index of all benchmarks", built, "s"),
        Figure("contamination: opening the index", opened, "s"),
        Figure("contamination: GSM8K train found in a benchmark", 100 * clean / len(rows), "%"),
        Figure("contamination: GSM8K test, in other words around it, missed", 100 - 100 * whole / len(test), "%"),
        Figure("contamination: first halves of GSM8K test missed", 100 - 100 * half / len(test), "%"),
    ]


def _found(index: Index, questions: list[str], answers: list[str]) -> int:
    pairs = zip(questions, answers, strict=True)
    return sum((index.match(question) or index.match(answer)) is not None for question, answer in pairs)


def _timed(make: Callable[[], Made]) -> tuple[float, Made]:
    began = time.perf_counter()
    made = make()
    return time.perf_counter() - began, made


if __name__ == "__main__":
    print(table(measure()))
