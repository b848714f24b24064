"""DENDIS: density and distance together."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from services.selector.diversity import Vectors
from services.selector.strategies.cells import choose_in_cells
from services.selector.strategies.interface import (
    SQUARE,
    Choice,
    Floats,
    Openings,
    Parameters,
    Pick,
    Pool,
    fill_by_score,
    left_behind,
)


class DensityAndDistance(Parameters):
    """Each new one is the farthest of its group, in the most populated group (after Ros & Guillaume 2016, DENDIS).

    [own] reconstruction from the paper's abstract: groups are visited from the largest down; the farthest member of
    the first group that is large enough and wide enough becomes a new representative and takes over whom it is nearer
    to. Large enough: granularity x items; wide enough: a radius of at least the mean radius x (1 - the group's share of
    the items). Where no group is accepted, the granularity is halved, so that the target is reached. The first is the
    best score. `gain` is the distance to the former representative (0 to 2).

    Attributes
    ----------
    granularity : float
        Least share of the items in a group that is divided, 0 to 1.
    """

    name: ClassVar[str] = "dendis"

    granularity: Annotated[float, Field(gt=0.0, le=1.0)] = 0.01

    def choose(self, pool: Pool) -> Choice:
        """Choose; a pool of more than 4,096 items is divided into cells. Cost O(items x target x dimensions)."""
        return choose_in_cells(pool, self._choose)

    def _choose(self, pool: Pool) -> Choice:
        groups = _Groups(pool)
        granularity = self.granularity
        while groups.openings.total and (found := groups.divisible(granularity)) is not _NOTHING_LEFT:
            if found is None:
                granularity /= 2.0
            else:
                groups.represent(found)
        values = np.sqrt(groups.squares / SQUARE)
        fill_by_score(pool, groups.openings, groups.picks)
        return Choice(groups.picks, left_behind(pool, groups.picks, values))


_NOTHING_LEFT = -1


class _Groups:
    """Each item with its nearest representative. Squared distances are whole numbers in float64."""

    def __init__(self, pool: Pool) -> None:
        self._vectors: Vectors = pool.vectors
        self._lengths: Floats = np.square(pool.vectors, dtype=np.float64).sum(axis=1)
        self._group = np.zeros(len(pool), dtype=np.int64)
        self.openings = Openings(pool)
        self.picks: list[Pick] = []
        self.squares: Floats = np.full(len(pool), 4.0 * SQUARE)
        if self.openings.total:
            self.represent(next(int(index) for index in pool.best_first() if self.openings.open[index]))

    def represent(self, index: int) -> None:
        """Make an item the representative of all that are nearer to it than to theirs."""
        self.picks.append(Pick(index, float(np.sqrt(self.squares[index] / SQUARE))))
        self.openings.take(index)
        products = (self._vectors @ self._vectors[index]).astype(np.float64)
        squares = np.maximum(self._lengths + self._lengths[index] - 2.0 * products, 0.0)
        nearer = squares < self.squares
        nearer[index] = True
        self.squares[nearer] = squares[nearer]
        self._group[nearer] = len(self.picks) - 1

    def divisible(self, granularity: float) -> int | None:
        """Return the farthest member of the first group that may be divided; None where none is large enough."""
        reach = np.where(self.openings.open, self.squares, -1.0)
        count = len(self.picks)
        sizes = np.bincount(self._group, minlength=count)
        farthest = np.full(count, -1.0)
        np.maximum.at(farthest, self._group, reach)
        if farthest.max() <= 0.0:
            return _NOTHING_LEFT
        radii = np.sqrt(np.maximum(farthest, 0.0))
        shares = sizes / len(reach)
        wide = (radii > 0.0) & (radii >= float(radii.sum()) / count * (1.0 - shares))
        accepted = np.flatnonzero(wide & (shares >= granularity))
        if not len(accepted):
            return None
        largest = accepted[sizes[accepted].argmax()]
        return int(np.where(self._group == largest, reach, -1.0).argmax())
