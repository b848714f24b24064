"""Cluster pick: a few from the middle of each cluster, as Cherry's brief experience takes them."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from services.selector.quotas import apportion
from services.selector.strategies.clusters import cluster, members_of
from services.selector.strategies.interface import (
    Choice,
    Floats,
    Integers,
    Openings,
    Parameters,
    Pick,
    Pool,
    fill_by_score,
    left_behind,
)

NOT_PICKED = "not_picked_of_its_cluster"


class ClusterPick(Parameters):
    """The same number of each cluster, evenly from those whose score is in the middle (Li et al. 2024, Cherry LLM).

    The authors' `pre` step: 100 clusters, of each those whose figure (there the prompt's perplexity, here the score)
    lies within the 25th and 75th percentile, of these every (size // n)-th in the order of the data (here: of the ids).
    What the quotas then leave open is filled by score. `gain` is 1.

    Attributes
    ----------
    clusters : int
    low, high : float
        Percentiles, 0 to 100.
    """

    name: ClassVar[str] = "cluster_pick"

    clusters: Annotated[int, Field(gt=0)] = 100
    low: Annotated[float, Field(ge=0.0, le=100.0)] = 25.0
    high: Annotated[float, Field(ge=0.0, le=100.0)] = 75.0

    @model_validator(mode="after")
    def _low_below_high(self) -> ClusterPick:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) must not exceed high ({self.high})")
        return self

    def choose(self, pool: Pool) -> Choice:
        """Choose. Cost O(items x clusters x dimensions)."""
        labels, _ = cluster(pool, self.clusters)
        groups = list(members_of(labels))
        openings = Openings(pool)
        picks: list[Pick] = []
        for members, count in zip(groups, _even(pool.target, groups), strict=True):
            for index in middle_picks(members, pool.scores[members], count, self.low, self.high).tolist():
                if openings.open[index]:
                    openings.take(index)
                    picks.append(Pick(index, 1.0))
        fill_by_score(pool, openings, picks)
        return Choice(picks, left_behind(pool, picks, np.zeros(len(pool)), NOT_PICKED))


def middle_picks(members: Integers, figures: Floats, count: int, low: float, high: float) -> Integers:
    """Return up to `count` members, evenly from those between two percentiles of the figure.

    A group smaller than `count` is taken whole; of a middle smaller than `count` all of the middle.
    """
    if count == 0 or len(members) < count:
        return members[: len(members) if count else 0]
    bounds = np.percentile(figures, [low, high])
    middle = members[(figures >= bounds[0]) & (figures <= bounds[1])]
    taken: Integers = middle if len(middle) < count else middle[:: len(middle) // count][:count]
    return taken


def _even(target: int, groups: list[Integers]) -> list[int]:
    available = {f"{place:08d}": len(members) for place, members in enumerate(groups)}
    given = apportion(target, dict.fromkeys(available, 1.0), available)
    return [given[name] for name in sorted(given)]
