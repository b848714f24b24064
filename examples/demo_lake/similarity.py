"""How alike two texts are: Jaccard similarity of 5-word shingles (Broder, 1997)."""

import re

_WORD = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+")
_WIDTH = 5


def shingles(text: str) -> frozenset[str]:
    """Return the runs of five words of a text, lower case, without punctuation; a Chinese character is a word.

    A text of fewer than five words is one shingle.
    """
    words = _WORD.findall(text.lower())
    return frozenset(" ".join(words[start : start + _WIDTH]) for start in range(max(1, len(words) - _WIDTH + 1)))


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the share of shingles that two sets have in common, in [0, 1]; 0 for two empty sets."""
    shared = len(left & right)
    return shared / (len(left) + len(right) - shared) if shared else 0.0
