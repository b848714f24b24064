"""Difficulty by attempts: how often a chat model solves a sample whose answer is known (LIMO, Ye et al. 2025)."""

from __future__ import annotations

import asyncio
import math
import re
from fractions import Fraction

from limoflow.errors import ChatRequestError
from limoflow.inference.chat_types import Chat, ChatMessage
from limoflow.inference.types import ScoringModels
from schemas.run import Run
from schemas.sample import Sample
from services.scorer.endpoints import Endpoints
from services.scorer.score import About, Cost, Figures

_RULE = "Solve the problem. End with a line that holds `####` and the final answer alone."
_MARKED = (re.compile(r"####\s*(.+)"), re.compile(r"\\boxed\{([^{}]*)\}"))
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:/\d+)?")
_EXPONENT = re.compile(r"[eE][-+]?([\d_]+)$")
_LONGEST_NUMBER = 1000
_LARGEST_EXPONENT = 1000


class PassRateScore:
    """The plug-in: `pass_rate` and `pass_band`.

    Parameters
    ----------
    endpoints : Endpoints
        Clients of chat endpoints.
    """

    name = "pass_rate"
    version = "1"
    about = About("successes / attempts", "none", Cost.CHAT, "Ye et al. 2025, arXiv 2502.03387")

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def compute(self, sample: Sample, run: Run, models: ScoringModels) -> Figures:  # noqa: ARG002
        """Return the share of successes, and 1 within the run's band of successes, 0 outside."""
        wanted = run.spec.score.pass_rate
        if wanted is None:
            return Figures()
        reference = sample.metadata.reference.answer if sample.metadata.reference is not None else None
        if not reference:
            return _none("the sample has no reference answer")
        chat = self._endpoints.of(run)
        try:
            solved = await asyncio.gather(
                *(_solved(chat, sample.instruction, reference) for _ in range(wanted.attempts))
            )
        except ChatRequestError as error:
            return _none(str(error))
        successes = sum(solved)
        band = 1.0 if wanted.least <= successes <= wanted.most else 0.0
        raw = {"successes": successes, "attempts": wanted.attempts}
        return Figures({"pass_rate": successes / wanted.attempts, "pass_band": band}, assessment={"passes": raw})


def pass_at_k(attempts: int, successes: int, k: int) -> float:
    """Return the unbiased estimate of the chance that one of k answers is right (Chen et al. 2021, Codex)."""
    if not 0 <= successes <= attempts or not 1 <= k <= attempts:
        raise ValueError(f"pass@{k} of {successes} successes in {attempts} attempts does not exist")
    return 1.0 - math.comb(attempts - successes, k) / math.comb(attempts, k)


def final_answer(text: str) -> str:
    """Return what follows the last `####`, else the last box, else the last number; empty where there is none."""
    for pattern in (*_MARKED, _NUMBER):
        found = pattern.findall(text)
        if found:
            return str(found[-1]).strip()
    return ""


def same_answer(left: str, right: str) -> bool:
    """Whether two final answers are the same number, or the same words but for case, spaces and a full stop.

    What is written with more than 1000 characters, or an exponent beyond 1000, is compared as words.
    """
    numbers = [_fraction(text) for text in (left, right)]
    if None not in numbers:
        return numbers[0] == numbers[1]
    plain = [" ".join(text.casefold().split()).rstrip(".") for text in (left, right)]
    return bool(plain[0]) and plain[0] == plain[1]


def _fraction(text: str) -> Fraction | None:
    stripped = text.strip().strip("$%").rstrip(".").replace(",", "").strip()
    # A few characters of text are enough for a number of a billion digits.
    if len(stripped) > _LONGEST_NUMBER:
        return None
    exponent = _EXPONENT.search(stripped)
    try:
        if exponent is not None and int(exponent[1]) > _LARGEST_EXPONENT:
            return None
        return Fraction(stripped)
    except (ValueError, ZeroDivisionError):
        return None


async def _solved(chat: Chat, instruction: str, reference: str) -> bool:
    answer = await chat.complete([ChatMessage("system", _RULE), ChatMessage("user", instruction)])
    return same_answer(final_answer(answer.text), final_answer(f"#### {reference}"))


def _none(reason: str) -> Figures:
    names = ("pass_rate", "pass_band")
    return Figures(dict.fromkeys(names), reasons=dict.fromkeys(names, reason))
