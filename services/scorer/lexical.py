"""How varied, unrepetitive and detailed the words of an answer are; Chinese counts by character."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from limoflow.inference.types import ScoringModels
from schemas.run import Run
from schemas.sample import Sample
from services.scorer.quality import repetition
from services.scorer.score import About, Cost, Figures
from services.scorer.wording import mentions, numbers, saturating, tokens

_FACTOR = 0.72
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][\w'-]+")


class Lexical:
    """The plug-in: `lexical_diversity`, `distinct_2`, `no_repetition`, `detail`."""

    name = "lexical"
    version = "1"
    about = About(
        "words (MTLD), shares",
        "more",
        Cost.TEXT,
        "McCarthy and Jarvis 2010; Li et al. 2016; detail own",
        "1 - exp(-x / 80)",
    )

    async def compute(self, sample: Sample, run: Run, models: ScoringModels) -> Figures:  # noqa: ARG002
        """Return the four figures of the response, and the raw `mtld`."""
        words = tokens(sample.response)
        if not words:
            names = ("lexical_diversity", "distinct_2", "no_repetition", "detail")
            return Figures(dict.fromkeys(names), reasons=dict.fromkeys(names, "the response has no words"))
        length = mtld(words)
        figures = {
            "lexical_diversity": saturating(length, 80),
            "distinct_2": distinct(words, 2),
            "no_repetition": 1.0 - repetition(words),
            "detail": detail(sample.response),
        }
        return Figures(figures, assessment={"mtld": length})


def mtld(words: Sequence[str]) -> float:
    """Return the measure of textual lexical diversity, in words (McCarthy and Jarvis 2010).

    The mean length of stretches until the share of distinct words falls to 0.72, an unfinished stretch counting in
    proportion; the mean of both reading directions. For a text without any factor its length.
    """
    if not words:
        return 0.0
    return (_one_way(words) + _one_way(list(reversed(words)))) / 2


def _one_way(words: Iterable[str]) -> float:
    factors, count, whole, seen = 0.0, 0, 0, set[str]()
    for word in words:
        whole, count = whole + 1, count + 1
        seen.add(word)
        if len(seen) / count <= _FACTOR:
            factors, count = factors + 1, 0
            seen.clear()
    if count:
        factors += (1 - len(seen) / count) / (1 - _FACTOR)
    return whole / factors if factors > 0 else float(whole)


def distinct(words: Sequence[str], n: int) -> float:
    """Return distinct n-grams / n-grams, in (0, 1] (Li et al. 2016); 1 for a text shorter than n."""
    grams = [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def detail(text: str) -> float:
    """Return 0.5 distinct bigrams + 0.5 concrete words per length, in [0, 1]. [own].

    Concrete are numbers and capitalised words within a sentence; 15 in 100 words count 0.63. A longer text of the same
    make has no more of it.
    """
    words = tokens(text)
    if not words:
        return 0.0
    concrete = 100.0 * (numbers(text) + mentions(_NAME, text)) / len(words)
    return 0.5 * distinct(words, 2) + 0.5 * saturating(concrete, 15)
