"""Texts as tokens for comparison: words, and single characters of Chinese, Japanese and Korean; hashed runs of them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_FIRST_CJK = "\u3040"
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def tokens(text: str) -> list[str]:
    """Return words, numbers and CJK characters after NFKC and case folding, without punctuation."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _TOKEN.findall(plain.casefold())


def is_cjk(token: str) -> bool:
    """Tell whether a token of `tokens` is one CJK character."""
    return len(token) == 1 and token >= _FIRST_CJK


@lru_cache(maxsize=65_536)
def _token_key(token: str) -> int:
    digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def token_keys(words: list[str]) -> Keys:
    """Return the 64-bit hash of every token, shape (len(words),), the same on every machine."""
    return np.fromiter((_token_key(word) for word in words), dtype=np.uint64, count=len(words))


def gram_keys(keys: Keys, length: int) -> Keys:
    """Return a hash of each run of `length` tokens, shape (max(0, n - length + 1),); the length enters the hash."""
    count = len(keys) - length + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    total = np.full(count, length, dtype=np.uint64)
    for offset in range(length):
        total *= _FACTOR
        total += keys[offset : offset + count]
    # A multiplication alone leaves the low bits weak.
    total ^= total >> np.uint64(29)
    return total


def whole_key(keys: Keys) -> int:
    """Return the hash of a whole token sequence; an empty one has the key 0."""
    return int(gram_keys(keys, len(keys))[0]) if len(keys) else 0


def cjk_counts(words: list[str], length: int) -> NDArray[np.int64]:
    """Return how many CJK characters each run of `length` tokens holds."""
    running = np.concatenate(([0], np.cumsum([is_cjk(word) for word in words], dtype=np.int64)))
    return running[length:] - running[:-length] if len(words) >= length else np.empty(0, dtype=np.int64)
