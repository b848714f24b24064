"""Texts as numbers: words (characters for Chinese, Japanese and Korean), fingerprints, languages."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|[^\s\w]|[{_CJK}]|[^\W\d{_CJK}]+")
# The same for ASCII in lower case, and faster.
_ASCII_TOKEN = re.compile(r"[a-z]+|[0-9]+(?:[.,][0-9]+)*|[^\s\w]")
_CJK_CHARACTER = re.compile(rf"[{_CJK}]")
_LETTER = re.compile(r"[^\W\d_]")
_CJK_SHARE = 0.3


def normalised(text: str) -> str:
    """Return the text in NFKC, folded case, runs of white space as one space."""
    return " ".join(_compatible(text).casefold().split())


def _compatible(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def fingerprint(instruction: str, response: str) -> bytes:
    """Return a hash that pairs differing only in case, width and white space share."""
    joined = f"{normalised(instruction)}\x1f{normalised(response)}"
    return hashlib.blake2b(joined.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def words(text: str) -> list[str]:
    """Return the tokens of a text: words, whole numbers, CJK characters, single marks; lower case."""
    lower = _compatible(text).lower()
    return (_ASCII_TOKEN if lower.isascii() else _TOKEN).findall(lower)


def language_of(text: str, stated: str | None) -> str:
    """Return the stated language's primary tag, else `zh` for a text of CJK characters and `en` for others."""
    if stated:
        return stated.replace("_", "-").split("-")[0].lower()
    if text.isascii():
        return "en"
    characters = len(_CJK_CHARACTER.findall(text))
    return "zh" if characters and characters >= _CJK_SHARE * len(_LETTER.findall(text)) else "en"


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different lengths: row `i` is `flat[offsets[i]:offsets[i + 1]]`."""

    flat: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, index: int) -> NDArray[np.int64]:
        """Return one row."""
        return self.flat[self.offsets[index] : self.offsets[index + 1]]

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Ragged:
        """Return the given rows, in that order."""
        return Ragged.of([self.row(int(row)) for row in rows])

    @classmethod
    def of(cls, rows: Sequence[NDArray[np.int64]]) -> Ragged:
        """Lay rows end to end."""
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return cls(np.concatenate(rows) if rows else np.zeros(0, dtype=np.int64), offsets)


class _Numbers(dict[str, int]):
    """Numbers words in the order in which they are first seen."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


@dataclass(frozen=True, slots=True)
class Corpus:
    """Tokenised pairs.

    Attributes
    ----------
    instructions, responses : Ragged
        Token numbers; the numbering follows the order of the pairs and means nothing.
    vocabulary : tuple of str
        The token of each number.
    """

    instructions: Ragged
    responses: Ragged
    vocabulary: tuple[str, ...]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> Corpus:
        """Tokenise (instruction, response) pairs."""
        numbers = _Numbers()
        rows: tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]] = ([], [])
        for pair in pairs:
            for side, text in zip(rows, pair, strict=True):
                found = words(text)
                side.append(np.fromiter(map(numbers.__getitem__, found), dtype=np.int64, count=len(found)))
        return cls(Ragged.of(rows[0]), Ragged.of(rows[1]), tuple(numbers))

    def token_hashes(self) -> NDArray[np.uint64]:
        """Return a 64-bit hash of each vocabulary token, the same in every process."""
        digests = (hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8) for word in self.vocabulary)
        return np.frombuffer(b"".join(digest.digest() for digest in digests), dtype="<u8")
