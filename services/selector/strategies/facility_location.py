"""Facility location: every item is represented by the chosen one that is most like it."""

from __future__ import annotations

import heapq
import math
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from services.selector.diversity import Vectors
from services.selector.keys import keyed_hash
from services.selector.strategies.cells import choose_in_cells
from services.selector.strategies.interface import (
    SQUARE,
    Choice,
    Floats,
    Integers,
    Openings,
    Parameters,
    Pick,
    Pool,
    left_behind,
)
from services.selector.strategies.sieve import sieve

_ROWS = 16
_FINEST_SIEVE = 0.01


class FacilityLocation(Parameters):
    """Greedy maximisation of f(S) = sum over all items i of max over chosen j of max(0, cosine(i, j)).

    f is monotone and submodular: greedy reaches 1 - 1/e of the best set of its size (Nemhauser et al. 1978). `gain` is
    f's growth, divided by the number of items (of the cell, where a large pool is divided).

    Attributes
    ----------
    method : {"lazy", "stochastic", "sieve"}
        `lazy` (Minoux 1978) is exact greedy; `stochastic` (Mirzasoleiman et al. 2015) takes each time the best of a
        random (items / target) ln(1 / epsilon); `sieve` is one pass of Sieve-Streaming++ (Kazemi et al. 2019), in the
        order of hashed ids.
    epsilon : float
        What the last two may lose, 0 to 1; of `sieve`, whose guesses are so many as it is small, at least 0.01.
    """

    name: ClassVar[str] = "facility_location"

    method: Literal["lazy", "stochastic", "sieve"] = "lazy"
    epsilon: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1

    @model_validator(mode="after")
    def _guesses_that_fit(self) -> FacilityLocation:
        if self.method == "sieve" and self.epsilon < _FINEST_SIEVE:
            raise ValueError(f"epsilon ({self.epsilon:g}) must be at least {_FINEST_SIEVE:g} with the method sieve")
        return self

    def choose(self, pool: Pool) -> Choice:
        """Choose; a pool of more than 4,096 items is divided into cells."""
        return choose_in_cells(pool, self._choose)

    def _choose(self, pool: Pool) -> Choice:
        walk = _Walk(pool)
        if self.method == "sieve":
            for index in sieve(pool, walk.cover, self.epsilon):
                walk.take(index)
        if self.method == "stochastic":
            walk.finish_stochastic(self.epsilon)
        else:
            walk.finish_lazy()
        return Choice(walk.picks, left_behind(pool, walk.picks, walk.bounds / walk.unit))


def similarities(vectors: Vectors) -> Vectors:
    """Return all products, negative ones as 0, shape (items, items)."""
    products: Vectors = vectors @ vectors.T
    np.maximum(products, 0.0, out=products)
    return products


class Coverage:
    """How well what is chosen represents each item. All figures are whole numbers, so sums have no order.

    Parameters
    ----------
    similar : array, shape (items, items)
        From `similarities`.
    """

    def __init__(self, similar: Vectors) -> None:
        self.similar = similar
        self.covered = np.zeros(len(similar), dtype=np.float32)
        self._value = 0.0
        self._rows = np.empty((_ROWS, len(similar)), dtype=np.float32)

    def gains(self, items: Integers) -> Floats:
        """Return what each item would add, shape (items,)."""
        gains = np.zeros(len(items))
        for start in range(0, len(items), _ROWS):
            block = items[start : start + _ROWS]
            # One buffer for all: a new one each time costs more in page faults than the arithmetic.
            rows = np.take(self.similar, block, axis=0, out=self._rows[: len(block)], mode="clip")
            np.maximum(rows, self.covered, out=rows)
            gains[start : start + _ROWS] = rows.sum(axis=1, dtype=np.float64) - self._value
        return gains

    def gain(self, index: int) -> float:
        """Return what one item would add."""
        row = np.maximum(self.similar[index], self.covered, out=self._rows[0])
        return float(row.sum(dtype=np.float64)) - self._value

    def add(self, index: int) -> float:
        """Choose an item; return what it added."""
        before = self._value
        np.maximum(self.covered, self.similar[index], out=self.covered)
        self._value = float(self.covered.sum(dtype=np.float64))
        return self._value - before


class _Walk:
    """The state of one greedy walk. `bounds` are old gains; gains only fall, so they bound the new ones."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.cover = Coverage(similarities(pool.vectors))
        self.unit = max(1, len(pool)) * SQUARE
        self.openings = Openings(pool)
        self.picks: list[Pick] = []
        self.bounds = self.cover.gains(np.arange(len(pool)))

    def take(self, index: int) -> None:
        self.openings.take(index)
        self.picks.append(Pick(index, self.cover.add(index) / self.unit))

    def finish_lazy(self) -> None:
        """Take each time the largest gain, of equal ones the first, refreshing only what may be the largest."""
        heap = [(-float(bound), index) for index, bound in enumerate(self.bounds)]
        heapq.heapify(heap)
        while self.openings.total:
            _, index = heapq.heappop(heap)
            if not self.openings.open[index]:
                continue
            entry = (-self.cover.gain(index), index)
            self.bounds[index] = -entry[0]
            if not heap or entry <= heap[0]:
                self.take(index)
            else:
                heapq.heappush(heap, entry)

    def finish_stochastic(self, epsilon: float) -> None:
        """Take each time the largest gain of a random few, drawn from the pool's seed and its ids alone."""
        key = keyed_hash("stochastic", self._pool.seed, " ".join(self._pool.ids))
        random = np.random.Generator(np.random.PCG64(key))
        size = math.ceil(len(self._pool) / max(1, self._pool.target) * math.log(1.0 / epsilon))
        while self.openings.total:
            candidates = np.flatnonzero(self.openings.open)
            drawn = np.sort(random.choice(candidates, min(size, len(candidates)), replace=False))
            self.bounds[drawn] = self.cover.gains(drawn)
            self.take(int(drawn[self.bounds[drawn].argmax()]))
