"""DEITA's representation filter: from the best down, what is unlike everything kept so far."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from services.selector.diversity import choose_diverse
from services.selector.strategies.interface import (
    OUTRANKED,
    Choice,
    Integers,
    Left,
    Parameters,
    Pick,
    Pool,
    left_behind,
)

TOO_SIMILAR = "too_similar"


class RepresentationFilter(Parameters):
    """Keep an item iff its largest cosine to those kept does not exceed the bound (Liu et al. 2024, DEITA).

    `gain` is 1 less that cosine, for the first 1.

    Attributes
    ----------
    max_cosine : float
        The paper's 0.9.
    fill : bool
        Whether what is too similar fills quotas that are still open, the least similar first (ours).
    """

    name: ClassVar[str] = "representation_filter"

    max_cosine: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    fill: bool = False

    def choose(self, pool: Pool) -> Choice:
        """Choose. Cost O(items x chosen x dimensions), memory O(items)."""
        strata = [("", str(stratum)) for stratum in pool.strata.tolist()]
        quotas = {("", str(stratum)): int(quota) for stratum, quota in enumerate(_possible(pool))}
        order = pool.best_first().tolist()
        found = choose_diverse(
            order, strata, quotas, pool.vectors, self.max_cosine, fill=self.fill, recorded=pool.recorded
        )
        picks = [Pick(it.index, 1.0 - min(1.0, it.similarity), it.filled) for it in found.picks]
        scored = [Pick(it.index, float(pool.scores[it.index])) for it in found.picks]
        left = left_behind(pool, scored, pool.scores, OUTRANKED)
        for index, (cosine, nearest) in found.too_similar.items():
            left[index] = Left(TOO_SIMILAR, cosine, self.max_cosine, nearest)
        return Choice(picks, left)


def _possible(pool: Pool) -> Integers:
    possible: Integers = np.minimum(pool.quotas, np.bincount(pool.strata, minlength=len(pool.quotas)))
    return possible
