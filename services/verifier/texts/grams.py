"""Texts as tokens for comparison: words, and single characters of Chinese, Japanese and Korean; hashed runs of them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
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


def token_keys(words: Sequence[str]) -> Keys:
    """Return the 64-bit hash of every token, shape (len(words),), the same on every machine."""
    return np.fromiter(map(_token_key, words), dtype=np.uint64, count=len(words))


class Grams:
    """The hashes of all runs of a token sequence, whatever their length: polynomials modulo 2^64, by prefix sums.

    Parameters
    ----------
    keys : ndarray of uint64, shape (tokens,)
    """

    def __init__(self, keys: Keys) -> None:
        self.count = len(keys)
        self._powers, inverse = _powers(len(keys) + 1)
        self._sums = np.zeros(len(keys) + 1, dtype=np.uint64)
        np.cumsum(keys * inverse[: len(keys)], out=self._sums[1:])

    def of(self, length: int) -> Keys:
        """Return a hash of each run of `length` tokens, shape (max(0, n - length + 1),); the length enters the hash."""
        runs = self.count - length + 1
        if runs <= 0 or not length:
            return np.empty(0, dtype=np.uint64)
        total = (self._sums[length:] - self._sums[:runs]) * self._powers[length - 1 : length - 1 + runs]
        total += np.uint64(length * int(self._powers[length]) % (1 << 64))
        # A multiplication alone leaves the low bits weak.
        total ^= total >> np.uint64(29)
        return total

    @property
    def whole(self) -> int:
        """The hash of the whole sequence; an empty one has the key 0."""
        return int(self.of(self.count)[0]) if self.count else 0


def _powers(count: int) -> tuple[Keys, Keys]:
    """Return at least `count` powers of the factor and of its inverse modulo 2^64."""
    return _power_table(1 << max(8, (count - 1).bit_length()))


@lru_cache(maxsize=32)
def _power_table(count: int) -> tuple[Keys, Keys]:
    factors = (int(_FACTOR), pow(int(_FACTOR), -1, 1 << 64))
    made = []
    for factor in factors:
        powers = np.full(count, factor, dtype=np.uint64)
        powers[0] = 1
        made.append(np.cumprod(powers, dtype=np.uint64))
    return made[0], made[1]


def cjk_counts(words: Sequence[str], length: int) -> NDArray[np.int64]:
    """Return how many CJK characters each run of `length` tokens holds."""
    running = np.concatenate(([0], np.cumsum([is_cjk(word) for word in words], dtype=np.int64)))
    return running[length:] - running[:-length] if len(words) >= length else np.empty(0, dtype=np.int64)
