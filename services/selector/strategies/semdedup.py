"""SemDeDup: semantic duplicates within clusters."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.selector.strategies.clusters import cluster, members_of
from services.selector.strategies.interface import (
    OUTRANKED,
    SQUARE,
    Choice,
    Floats,
    Integers,
    Left,
    Parameters,
    Pool,
)
from services.selector.strategies.plain import take_in_order

SEMANTIC_DUPLICATE = "semantic_duplicate"
_BLOCK = 1_024


class SemanticDeduplication(Parameters):
    """Drop what resembles an earlier item of its cluster (Abbas et al. 2023); of the rest the best scores.

    As in the authors' code, an item is compared with all earlier ones, dropped or not.

    Attributes
    ----------
    epsilon : float
        An item is dropped where its largest cosine exceeds 1 - epsilon.
    items_per_cluster : int
        Clusters are so many that each has about this many items.
    keep : {"hard", "easy", "score"}
        Who is earlier: those far from the centroid (the paper), those near to it, or the better score.
    """

    name: ClassVar[str] = "semdedup"

    epsilon: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    items_per_cluster: Annotated[int, Field(gt=0)] = 200
    keep: Literal["hard", "easy", "score"] = "hard"

    def choose(self, pool: Pool) -> Choice:
        """Choose; there may be fewer than the quotas. `gain` is the score."""
        labels, centroids = cluster(pool, -(-len(pool) // self.items_per_cluster))
        dropped: dict[int, Left] = {}
        for members in members_of(labels):
            dropped |= self._duplicates(pool, members, centroids[labels[members[0]]])
        kept = np.setdiff1d(np.arange(len(pool)), np.array(sorted(dropped), dtype=np.int64))
        rest = pool.part(kept, pool.quotas)
        choice = take_in_order(rest, rest.best_first(), rest.scores, OUTRANKED)
        picks = [type(pick)(int(kept[pick.index]), pick.gain) for pick in choice.picks]
        left = {int(kept[index]): why for index, why in choice.left.items()}
        return Choice(picks, left | dropped)

    def _duplicates(self, pool: Pool, members: Integers, centroid: Floats) -> dict[int, Left]:
        """Return the members that resemble an earlier one, in blocks: a cluster may hold everything."""
        order = members[np.argsort(self._places(pool, members, centroid), kind="stable")]
        bound = (1.0 - self.epsilon) * SQUARE
        found = {}
        for start in range(0, len(order), _BLOCK):
            rows = order[start : start + _BLOCK]
            products = pool.vectors[rows] @ pool.vectors[order[: start + len(rows)]].T
            earlier = np.arange(products.shape[1])[None, :] < (start + np.arange(len(rows)))[:, None]
            products[~earlier] = -np.inf
            nearest = products.argmax(axis=1)
            largest = products[np.arange(len(rows)), nearest]
            for row in np.flatnonzero(largest > bound).tolist():
                value = float(largest[row]) / SQUARE
                found[int(rows[row])] = Left(SEMANTIC_DUPLICATE, value, 1.0 - self.epsilon, int(order[nearest[row]]))
        return found

    def _places(self, pool: Pool, members: Integers, centroid: Floats) -> Floats:
        if self.keep == "score":
            return -pool.scores[members]
        near = (pool.vectors[members] @ centroid).astype(np.float64)
        return near if self.keep == "hard" else -near
