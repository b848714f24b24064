"""How alike two instructions are: ROUGE-L (Lin 2004), by characters where a language has no spaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_TOKEN = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W_]+")
_LONGEST = 600


def tokens(text: str) -> list[str]:
    """Return words, and characters of Chinese, Japanese and Korean; at most 600 of them.

    The tokenizer of Google's rouge_score keeps [a-z0-9] alone, so that Chinese scores 0 against everything.
    """
    return _TOKEN.findall(text.casefold())[:_LONGEST]


def rouge_l(first: str, second: str) -> float:
    """Return the F-measure of the longest common subsequence of two texts, 0 to 1."""
    left, right = tokens(first), tokens(second)
    if not left or not right:
        return 0.0
    common = _longest_common(left, right)
    return 2 * common / (len(left) + len(right))


def most_alike(text: str, others: Iterable[str]) -> float:
    """Return the largest ROUGE-L of a text with any other."""
    return max((rouge_l(text, other) for other in others), default=0.0)


def _longest_common(left: Sequence[str], right: Sequence[str]) -> int:
    # Bit-parallel LCS (Hyyro 2004): one integer holds a row of the table.
    places: dict[str, int] = {}
    for at, token in enumerate(left):
        places[token] = places.get(token, 0) | 1 << at
    mask = (1 << len(left)) - 1
    row = mask
    for token in right:
        matched = row & places.get(token, 0)
        row = ((row + matched) | (row - matched)) & mask
    return len(left) - row.bit_count()
