"""k-center: every item has a chosen one nearby."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from services.selector.strategies.apart import Terms, choose_apart
from services.selector.strategies.interface import OUTGAINED, SQUARE, Choice, Left, Parameters, Pick, Pool


class KCenter(Parameters):
    """Farthest-first traversal (Gonzalez 1985): the radius is at most twice the smallest possible.

    The first is the one with the best score. `gain` is the distance to the nearest chosen one, for vectors of length 1
    (0 to 2).
    """

    name: ClassVar[str] = "k_center"

    def choose(self, pool: Pool) -> Choice:
        """Choose; squared distances are whole numbers, so ties are real."""
        squares = np.square(pool.vectors, dtype=np.float64).sum(axis=1)
        choice = choose_apart(pool, Terms(base=squares, toll=squares, scale=2.0))
        choice.picks = [Pick(pick.index, _distance(pick.gain)) for pick in choice.picks]
        for index, left in choice.left.items():
            if left.reason == OUTGAINED and left.value is not None and left.bound is not None:
                choice.left[index] = Left(left.reason, _distance(left.value), _distance(left.bound))
        return choice


def _distance(square: float) -> float:
    return float(np.sqrt(max(0.0, square) / SQUARE))
