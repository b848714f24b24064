"""The choice by a named strategy: from what the rules left of a pool to picks and refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.run import Diversity
from services.selector.diversity import Pick, whole_number_vectors
from services.selector.strategies.interface import Left, Pool, Strategy
from services.selector.strategies.neighbours import NOBODY, nearest_before
from services.selector.strategies.registry import strategy_of

GREEDY = "greedy"
"""The default, which is no strategy of the registry: the walk in `services.selector.diversity`."""

Stratum = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Picked:
    """What a strategy chose, in order, and why it left the others; by places among the members."""

    picks: list[Pick]
    left: dict[int, Left]


def named_strategy(rules: Diversity) -> Strategy | None:
    """Return the strategy that a run names; None for the default.

    Raises
    ------
    ValueError
        When there is no such strategy, or its parameters do not hold.
    """
    if rules.strategy != GREEDY:
        return strategy_of(rules.strategy, rules.parameters)
    if rules.parameters:
        raise ValueError(f"select.diversity.parameters: the strategy {GREEDY!r} has none; set max_cosine beside it")
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """What a strategy may choose from.

    Attributes
    ----------
    ids : sequence of str
        Strictly ascending.
    embeddings : sequence of (array of float16 or None)
        As they were recorded.
    dimensions : int
    scores : sequence of float
    strata : sequence of (str, str)
    """

    ids: Sequence[str]
    embeddings: Sequence[NDArray[np.float16] | None]
    dimensions: int
    scores: Sequence[float]
    strata: Sequence[Stratum]

    def pool(self, quotas: Mapping[Stratum, int], seed: int) -> Pool:
        """Return the members as the strategies take them; a stratum without a quota gets nothing."""
        names = sorted({*self.strata, *quotas})
        number = {stratum: place for place, stratum in enumerate(names)}
        recorded = np.zeros((len(self.ids), self.dimensions), dtype=np.float16)
        for row, embedding in enumerate(self.embeddings):
            if embedding is not None:
                recorded[row] = embedding
        return Pool(
            tuple(self.ids),
            whole_number_vectors(self.embeddings, self.dimensions),
            np.array(self.scores, dtype=np.float64),
            np.array([number[stratum] for stratum in self.strata], dtype=np.int64),
            np.array([quotas.get(stratum, 0) for stratum in names], dtype=np.int64),
            seed,
            recorded,
        )


def pick_by(strategy: Strategy, members: Members, quotas: Mapping[Stratum, int], seed: int) -> Picked:
    """Choose by a strategy up to the quotas, with the run's seed."""
    pool = members.pool(quotas, seed)
    choice = strategy.choose(pool)
    chosen = np.array([pick.index for pick in choice.picks], dtype=np.int64)
    nearest, cosines = nearest_before(pool.vectors, chosen)
    picks = [
        Pick(it.index, cosine, None if neighbour == NOBODY else neighbour, it.filled, it.gain)
        for it, neighbour, cosine in zip(choice.picks, nearest.tolist(), cosines.tolist(), strict=True)
    ]
    return Picked(picks, choice.left)
