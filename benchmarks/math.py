"""Checks of mathematical answers against math-verify called in a loop, on the same cases, one core, one run."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.figures import Figure, table
from schemas.sample import Metadata, Reference, Sample
from services.verifier.checks import Finding
from services.verifier.math_answer import MathAnswer

GSM8K = Path(__file__).resolve().parents[2] / "shared" / "data" / "gsm8k" / "train.jsonl"
MEGABYTE = 1 << 20
# (reference, answer) as data sets of competition mathematics have them; the last ones take algebra.
ANSWERS = [
    ("72", "72"), ("1,234", "1234"), ("\\frac{3}{4}", "0.75"), ("50\\%", "0.5"), ("12", "13"), ("$18", "18 dollars"),
    ("(1,2)", "(1, 2)"), ("\\{1,2,3\\}", "\\{3,2,1\\}"), ("[0,1)", "(0,1]"), ("-5", "5"), ("2\\frac{1}{2}", "2.5"),
    ("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "\\begin{pmatrix}1&2\\\\3&5\\end{pmatrix}"),
]  # fmt: skip
ALGEBRA = [
    ("\\frac{\\sqrt{%d}}{2}", "\\frac{%d}{2\\sqrt{%d}}"), ("x^2+%dx+1", "1+x^2+%dx"), ("%d\\pi", "2\\pi+%d"),
    ("x^2-%d", "(x-%d)(x+1)"), ("y=%dx+1", "y=1+%dx"), ("2\\sqrt{%d}", "\\sqrt{%d}"),
]  # fmt: skip


def measure() -> list[Figure]:
    """Return the figures; the cases differ from one another, so that neither side lives off what it remembers."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    check = MathAnswer()
    mixed, algebra = _mixed(), _algebra()
    await _checked(check, algebra[:2])
    _loop(algebra[:2])
    figures: list[Figure] = []
    for name, cases, goal in (("answers as data has them", mixed, 1.5), ("formulas only", algebra, 1.5)):
        # Both sides on one core: the check's process and its worker share it as the loop does.
        before = os.sched_getaffinity(0)
        pids = [0, *(child.pid for child in psutil.Process().children(recursive=True))]
        for pid in pids:
            os.sched_setaffinity(pid, {min(before)})
        ours = await _checked(check, cases)
        theirs = _loop(cases)
        for pid in pids:
            os.sched_setaffinity(pid, before)
        figures += [
            Figure(f"math checks, {name}", ours, "/s"),
            Figure(f"math-verify in a loop, {name}", theirs, "/s"),
            Figure(f"math checks against math-verify, {name}", ours / theirs, "x", goal),
        ]
    figures.append(Figure("memory of the math worker, shared pages once", _memory(), "MB", 200, below=True))
    await check.close()
    return figures


async def _checked(check: MathAnswer, cases: list[tuple[str, str]]) -> float:
    samples = [
        Sample(
            id=str(at),
            instruction="x",
            response=f"#### {found}",
            metadata=Metadata(domain="mathematics", reference=Reference(answer=gold)),
        )
        for at, (gold, found) in enumerate(cases)
    ]
    began = time.perf_counter()
    for sample in samples:
        finding = check.check(sample, {})
        if not isinstance(finding, Finding):
            await finding
    return len(samples) / (time.perf_counter() - began)


def _loop(cases: list[tuple[str, str]]) -> float:
    from math_verify import parse, verify

    dollars: Callable[[str], str] = "${}$".format
    began = time.perf_counter()
    for gold, found in cases:
        parsed = (parse(dollars(text), parsing_timeout=None) for text in (gold, found))
        verify(*parsed, timeout_seconds=None)
    return len(cases) / (time.perf_counter() - began)


def _mixed() -> list[tuple[str, str]]:
    """Return GSM8K's references, each beside itself and beside a wrong one, the answers above, and formulas."""
    rows = GSM8K.read_text(encoding="utf-8").splitlines()[:200] if GSM8K.exists() else []
    numbers = [json.loads(row)["answer"].rpartition("####")[2].strip() for row in rows] or [
        str(at) for at in range(200)
    ]
    return [*zip(numbers, [*numbers[:100], *numbers[:100]], strict=True), *ANSWERS, *_algebra()[:60]]


def _algebra() -> list[tuple[str, str]]:
    return [
        (gold % number, found % ((number,) * found.count("%d"))) for number in range(2, 32) for gold, found in ALGEBRA
    ]


def _memory() -> float:
    """Return the proportional share of the worker and its fork, in megabytes."""
    return sum(one.memory_full_info().pss for one in psutil.Process().children(recursive=True)) / MEGABYTE


if __name__ == "__main__":
    print(table(measure()))
