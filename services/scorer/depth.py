"""How much reasoning a response shows, after LIMO (Ye et al. 2025, arXiv 2502.03387).

LIMO scores a chain by length (0.30), self-verification (0.20), exploration (0.25) and connectives (0.25), with counts
of keywords per length. [own] Here a part for steps joins, since short worked answers hold steps but few keywords; so
are the Chinese keywords and all scales.
"""

from __future__ import annotations

import re

from limoflow.inference.types import ScoringModels
from schemas.run import Run
from schemas.sample import Sample
from services.scorer.score import About, Cost, Figures
from services.scorer.wording import any_of, mentions, saturating, tokens

_VERIFICATION = any_of(
    ("check", "verify", "double-check", "confirm", "indeed", "as expected", "substituting back"),
    ("检查", "验证", "验算", "核对", "代入检验", "确认"),
)
_EXPLORATION = any_of(
    ("perhaps", "might", "maybe", "alternatively", "suppose", "assume", "consider", "let us", "let's", "what if"),
    ("也许", "可能", "或许", "假设", "设", "考虑", "不妨", "另一种"),
)
_CONNECTIVE = any_of(
    ("therefore", "since", "because", "thus", "hence", "so", "then", "first", "next", "finally", "which means"),
    ("因此", "所以", "由于", "因为", "于是", "那么", "首先", "然后", "接着", "最后", "从而"),
)
# White space before no list item is a match too, so that it is read once and not from each of its lines.
_STEP = re.compile(
    r"<<[^<>]*>>|=|\n\s*+(?:(?:\d+[.)]|[-*])\s)?|\bstep\s*\d+|第[一二三四五六七八九十\d]+步", re.IGNORECASE
)
_PER_WORDS = 100


def steps(response: str) -> int:
    """Return how many computations, list items or numbered steps a response shows; a `<<...>>` note counts once."""
    return sum(not match[0].isspace() for match in _STEP.finditer(response))


def depth(response: str) -> float:
    """Return 0.30 length + 0.25 steps + 0.15 verification + 0.10 exploration + 0.20 connectives, in [0, 1).

    Length saturates at 150 words, steps at 6; the keywords count per 100 words (of at least 50) and saturate at 1
    (verification, exploration) and 3 (connectives).
    """
    words = len(tokens(response))
    per_length = _PER_WORDS / max(words, _PER_WORDS // 2)
    return (
        0.30 * saturating(words, 150)
        + 0.25 * saturating(steps(response), 6)
        + 0.15 * saturating(mentions(_VERIFICATION, response) * per_length, 1)
        + 0.10 * saturating(mentions(_EXPLORATION, response) * per_length, 1)
        + 0.20 * saturating(mentions(_CONNECTIVE, response) * per_length, 3)
    )


def chain(response: str) -> float:
    """Return LIMO's score of a chain of thought: 0.30 length + 0.20 verification + 0.25 exploration + 0.25 connectives.

    The weights are the paper's, the keywords are counted per 100 words as it says; the scales are those of `depth`.
    """
    words = len(tokens(response))
    per_length = _PER_WORDS / max(words, _PER_WORDS // 2)
    return (
        0.30 * saturating(words, 150)
        + 0.20 * saturating(mentions(_VERIFICATION, response) * per_length, 1)
        + 0.25 * saturating(mentions(_EXPLORATION, response) * per_length, 1)
        + 0.25 * saturating(mentions(_CONNECTIVE, response) * per_length, 3)
    )


class Depth:
    """The plug-in."""

    name = "depth"
    version = "2"
    about = About("share of saturation", "more", Cost.TEXT, "Ye et al. 2025, arXiv 2502.03387; scales own")

    async def compute(self, sample: Sample, run: Run, models: ScoringModels) -> Figures:  # noqa: ARG002
        """Return `reasoning_depth` and `chain`."""
        return Figures(evaluations={"reasoning_depth": depth(sample.response), "chain": chain(sample.response)})
