"""What a chosen set is worth, when it is known which rows are spoilt.

Coverage and diversity are measured on words (tf-idf), not on the embeddings that the strategies choose by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.pools import REPEATED, Row, StudyPool
from services.selector.texts import Corpus

BUCKETS = 4_096
Vectors = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Worth:
    """Of one chosen set.

    Attributes
    ----------
    precision : float
        Share of clean rows, 0 to 1.
    coverage : float
        Mean over held-out clean rows of the largest cosine to a clean chosen row, 0 to 1.
    diversity : float
        Vendi score of the clean chosen rows (Friedman & Dieng 2023), the number of rows that they are worth, divided by
        the size of the set, 0 to 1.
    """

    precision: float
    coverage: float
    diversity: float


class Yardstick:
    """Measures sets chosen from one pool."""

    def __init__(self, pool: StudyPool) -> None:
        self._pool = pool
        vectors = tf_idf([*pool.rows, *pool.held_out])
        self._rows, self._held_out = vectors[: len(pool.rows)], vectors[len(pool.rows) :]

    def worth(self, chosen: Sequence[int]) -> Worth:
        """Measure the rows at some places. A repeated row is as good as its original, but not beside it."""
        clean = [place for place in chosen if self._is_clean(place, set(chosen))]
        if not clean:
            return Worth(0.0, 0.0, 0.0)
        vectors = self._rows[clean]
        coverage = float((self._held_out @ vectors.T).max(axis=1).mean())
        return Worth(len(clean) / len(chosen), coverage, vendi(vectors) / len(chosen))

    def _is_clean(self, place: int, chosen: set[int]) -> bool:
        fault = self._pool.rows[place].fault
        return not fault or (fault == REPEATED and place - 1 not in chosen)


def vendi(vectors: Vectors) -> float:
    """Return exp of the entropy of the eigenvalues of the similarities, shared out evenly; 1 to their number."""
    values = np.linalg.eigvalsh(vectors @ vectors.T / len(vectors))
    positive = values[values > 1e-12]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def tf_idf(rows: Sequence[Row]) -> Vectors:
    """Return unit vectors of words (for Chinese also pairs of characters), hashed into buckets."""
    corpus = Corpus.of((row.instruction, row.response) for row in rows)
    hashes = corpus.token_hashes().astype(np.uint64)
    counts = np.zeros((len(rows), BUCKETS))
    for place, row in enumerate(rows):
        tokens = hashes[np.concatenate((corpus.instructions.row(place), corpus.responses.row(place)))]
        if row.language == "zh":
            tokens = np.concatenate((tokens, tokens[:-1] * np.uint64(31) + tokens[1:]))
        np.add.at(counts[place], (tokens % np.uint64(BUCKETS)).astype(np.int64), 1.0)
    weights = np.log((len(rows) + 1) / (1.0 + (counts > 0).sum(axis=0)))
    vectors = np.log1p(counts) * weights
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
