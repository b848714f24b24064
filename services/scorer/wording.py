"""Features of texts that the rules share, for English and Chinese."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_CJK}]|\d+(?:[.,]\d+)*|[^\W\d{_CJK}]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？；\n]")


def tokens(text: str) -> list[str]:
    """Return words, numbers and CJK characters in lower case, without punctuation."""
    return _TOKEN.findall(text.lower())


def numbers(text: str) -> int:
    """Return how many numbers a text holds."""
    return len(_NUMBER.findall(text))


def sentences(text: str) -> int:
    """Return how many sentences or lines a text has, at least 1 unless it is empty."""
    stripped = text.strip()
    return max(1, len([part for part in _SENTENCE_END.split(stripped) if part.strip()])) if stripped else 0


def saturating(amount: float, scale: float) -> float:
    """Return 1 - exp(-amount / scale): 0 for nothing, 0.63 at `scale`, below 1 for ever."""
    return 1.0 - math.exp(-max(0.0, amount) / scale)


def any_of(english: Sequence[str], chinese: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern that finds any of these: English as whole words, Chinese anywhere."""
    words = "|".join(re.escape(word) for word in sorted(english, key=len, reverse=True))
    characters = "|".join(re.escape(word) for word in sorted(chinese, key=len, reverse=True))
    return re.compile(rf"\b(?:{words})\b|{characters}", re.IGNORECASE)


def mentions(pattern: re.Pattern[str], text: str) -> int:
    """Return how often a pattern occurs."""
    return sum(1 for _ in pattern.finditer(text))
