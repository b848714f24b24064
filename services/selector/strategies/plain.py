"""The two choices that every other is measured against: the best scores, and chance."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from services.selector.strategies.clusters import hashed_order
from services.selector.strategies.interface import (
    OUTRANKED,
    Choice,
    Floats,
    Integers,
    Openings,
    Parameters,
    Pick,
    Pool,
    left_behind,
)

NOT_DRAWN = "not_drawn"


class TopScore(Parameters):
    """The best scores of each stratum. `gain` is the score."""

    name: ClassVar[str] = "top_score"
    compares: ClassVar[bool] = False

    def choose(self, pool: Pool) -> Choice:
        """Choose."""
        return take_in_order(pool, pool.best_first(), pool.scores, OUTRANKED)


class Uniform(Parameters):
    """A uniform sample of each stratum, by the hashes of the ids. `gain` is 1 less the place in the draw, 0 to 1."""

    name: ClassVar[str] = "random"
    compares: ClassVar[bool] = False

    def choose(self, pool: Pool) -> Choice:
        """Choose."""
        order = hashed_order(pool.ids, "random", pool.seed)
        places = np.zeros(len(pool))
        places[order] = 1.0 - np.arange(len(pool)) / max(1, len(pool))
        return take_in_order(pool, order, places, NOT_DRAWN)


def take_in_order(pool: Pool, order: Integers, values: Floats, reason: str) -> Choice:
    """Choose items in the given order up to the quotas; their values are their gains."""
    openings = Openings(pool)
    picks = []
    for index in order.tolist():
        if not openings.total:
            break
        if openings.open[index]:
            openings.take(index)
            picks.append(Pick(index, float(values[index])))
    return Choice(picks, left_behind(pool, picks, values, reason))
