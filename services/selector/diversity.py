"""Greedy diversity: from the best down, keep what is unlike everything kept so far.

After the representation filter of DEITA (Liu et al. 2024), with two differences: quotas bound each stratum, and what is
too similar waits and fills the quotas that are still open, the least similar first.

Similarities are exact. Unit vectors are scaled to whole numbers (length 4,000), so every product and every partial sum
of a dot product is a whole number below 2**24, which float32 holds without rounding: any BLAS, with any number of
threads and any blocking, gives the same bits. The price is an error of about 1e-4 in a cosine.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LENGTH = 4_000
_BLOCK = 256
_NOTHING = -1

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pick:
    """One chosen sample.

    Attributes
    ----------
    similarity : float
        The largest cosine to those chosen before it, at least 0.
    nearest : int or None
        Which of those it was; None where the similarity is 0.
    filled : bool
        Whether it was too similar and only fills a quota.
    gain : float or None
        What it added in the unit of the run's strategy; None for the walk below, where it is 1 less the similarity.
    """

    index: int
    similarity: float
    nearest: int | None
    filled: bool
    gain: float | None = None


@dataclass(slots=True)
class Selection:
    """The chosen samples in order, and those that waited in vain with their similarity to the chosen."""

    picks: list[Pick] = field(default_factory=list)
    too_similar: dict[int, tuple[float, int]] = field(default_factory=dict)


def whole_number_vectors(vectors: Sequence[NDArray[np.float16] | None], dimensions: int) -> Vectors:
    """Return vectors of length 4,000 with whole-number components; a missing one is zero, unlike everything.

    Returns
    -------
    array of float32, shape (len(vectors), dimensions)
    """
    scaled = np.zeros((len(vectors), dimensions), dtype=np.float32)
    for row, vector in enumerate(vectors):
        if vector is not None:
            # Squares of float16 near unit length add up in float64 without rounding, in whatever order.
            wide = vector.astype(np.float64)
            scaled[row] = np.rint(wide * (LENGTH / np.sqrt(np.square(wide).sum())))
    return scaled


def choose_diverse(
    order: Sequence[int],
    strata: Sequence[tuple[str, str]],
    quotas: Mapping[tuple[str, str], int],
    vectors: Vectors,
    max_cosine: float,
    *,
    fill: bool = True,
    recorded: NDArray[np.float16] | None = None,
) -> Selection:
    """Choose samples up to their strata's quotas.

    Parameters
    ----------
    order : sequence of int
        Samples from the best down.
    strata : sequence
        The stratum of every sample.
    quotas : mapping
        How many to choose of each stratum.
    vectors : array, shape (samples, dimensions)
        From `whole_number_vectors`.
    max_cosine : float
        A sample is too similar when its cosine to a chosen one exceeds this.
    fill : bool
        Whether those fill quotas that are still open, the least similar first; without, this is DEITA's filter.
    recorded : array of float16, shape (samples, dimensions), optional
        The embeddings before they became whole numbers. With them, whether a cosine exceeds the bound is decided by the
        true one wherever rounding could matter.
    """
    exact = None if recorded is None else _Exact(recorded, max_cosine)
    walk = _Walk(vectors, strata, dict(quotas), max_cosine, exact)
    for start in range(0, len(order), _BLOCK):
        if not walk.open:
            break
        walk.visit([index for index in order[start : start + _BLOCK] if walk.quotas.get(strata[index], 0) > 0])
    walk.fill() if fill else walk.refuse()
    return walk.selection


class _Exact:
    """True cosines of recorded embeddings: in float64 the products of float16 add up without rounding.

    Attributes
    ----------
    margin : float
        A product of whole-number vectors is at most so far from the true one: each component is off by 0.5 at most.
    """

    def __init__(self, recorded: NDArray[np.float16], max_cosine: float) -> None:
        self._recorded = recorded
        self._max_cosine = max_cosine
        dimensions = recorded.shape[1]
        self.margin = LENGTH * float(np.sqrt(dimensions)) + dimensions / 4.0

    def exceeds(self, index: int, others: Sequence[int]) -> bool:
        """Return whether the cosine to one of the others exceeds the bound."""
        own = self._recorded[index].astype(np.float64)
        rows = self._recorded[others].astype(np.float64)
        lengths = np.sqrt(np.square(rows).sum(axis=1) * np.square(own).sum())
        return bool((rows @ own > self._max_cosine * lengths).any())


class _Walk:
    """The state of one greedy walk."""

    def __init__(
        self,
        vectors: Vectors,
        strata: Sequence[tuple[str, str]],
        quotas: dict[tuple[str, str], int],
        max_cosine: float,
        exact: _Exact | None,
    ) -> None:
        self._exact = exact
        self._vectors = vectors
        self._strata = strata
        self.quotas = quotas
        self.open = sum(quotas.values())
        self._bound = max_cosine * LENGTH * LENGTH
        self._chosen = np.zeros((self.open, vectors.shape[1]), dtype=np.float32)
        self._waiting: list[tuple[float, int, int, int, int]] = []
        self.selection = Selection()

    def visit(self, block: Sequence[int]) -> None:
        """Decide on a block, in order: its products with the chosen and with itself are taken at once."""
        vectors = self._vectors[block]
        chosen_before = len(self.selection.picks)
        largest, nearest = self._largest(vectors, 0, chosen_before)
        within = vectors @ vectors.T
        for row, index in enumerate(block):
            if self.quotas[self._strata[index]] <= 0:
                continue
            if self._exceeds(index, float(largest[row])):
                # Its place in the queue breaks ties: of two equally similar ones the better goes first.
                place = len(self._waiting)
                self._waiting.append((float(largest[row]), place, index, int(nearest[row]), chosen_before))
                continue
            self._choose(index, float(largest[row]), int(nearest[row]), filled=False)
            closer = within[row] > largest
            largest[closer] = within[row][closer]
            nearest[closer] = len(self.selection.picks) - 1

    def _exceeds(self, index: int, largest: float) -> bool:
        margin = 0.0 if self._exact is None else self._exact.margin
        if self._exact is None or abs(largest - self._bound) > margin:
            return largest > self._bound
        products = self._chosen[: len(self.selection.picks)] @ self._vectors[index]
        near = np.flatnonzero(products >= self._bound - margin).tolist()
        return self._exact.exceeds(index, [self.selection.picks[place].index for place in near])

    def fill(self) -> None:
        """Fill open quotas with those that wait, the least similar first.

        A similarity only grows as more are chosen, so an old one is a lower bound: the smallest is brought up to date,
        and taken when it is still the smallest.
        """
        heapq.heapify(self._waiting)
        while self._waiting:
            similarity, place, index, nearest, seen = heapq.heappop(self._waiting)
            chosen = len(self.selection.picks)
            if self.quotas[self._strata[index]] <= 0:
                self._refuse(index, similarity, nearest)
            elif seen == chosen:
                self._choose(index, similarity, nearest, filled=True)
            else:
                newer, where = self._largest(self._vectors[[index]], seen, chosen)
                if newer[0] > similarity:
                    similarity, nearest = float(newer[0]), int(where[0])
                heapq.heappush(self._waiting, (similarity, place, index, nearest, chosen))

    def refuse(self) -> None:
        """Refuse those that wait."""
        for similarity, _, index, nearest, _ in self._waiting:
            self._refuse(index, similarity, nearest)

    def _refuse(self, index: int, similarity: float, nearest: int) -> None:
        self.selection.too_similar[index] = (self._cosine(similarity), self.selection.picks[nearest].index)

    def _choose(self, index: int, similarity: float, nearest: int, *, filled: bool) -> None:
        picks = self.selection.picks
        self._chosen[len(picks)] = self._vectors[index]
        neighbour = None if nearest == _NOTHING else picks[nearest].index
        picks.append(Pick(index, self._cosine(similarity), neighbour, filled))
        self.quotas[self._strata[index]] -= 1
        self.open -= 1

    def _largest(self, vectors: Vectors, start: int, end: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Return the largest product of each vector with the chosen ones from `start` to `end`, and which it was.

        Nothing is less similar than 0: an opposite is as good as a stranger.
        """
        if start == end:
            return np.zeros(len(vectors), dtype=np.float32), np.full(len(vectors), _NOTHING)
        products = vectors @ self._chosen[start:end].T
        where = products.argmax(axis=1)
        largest = products[np.arange(len(vectors)), where]
        return np.maximum(largest, 0), np.where(largest > 0, where + start, _NOTHING)

    @staticmethod
    def _cosine(product: float) -> float:
        return product / (LENGTH * LENGTH)
