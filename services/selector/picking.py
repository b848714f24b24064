"""The choice by a named strategy: from what the rules left of a pool to picks and refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.run import Diversity
from services.selector.diversity import Pick, Vectors
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


def pick_by(
    strategy: Strategy,
    ids: Sequence[str],
    vectors: Vectors,
    scores: Sequence[float],
    strata: Sequence[Stratum],
    quotas: Mapping[Stratum, int],
    seed: int,
) -> Picked:
    """Choose by a strategy.

    Parameters
    ----------
    strategy : Strategy
    ids : sequence of str
        Strictly ascending.
    vectors : array, shape (ids, dimensions)
        From `whole_number_vectors`.
    scores : sequence of float
    strata : sequence
        The stratum of each id; one without a quota gets nothing.
    quotas : mapping
    seed : int
        The run's seed.
    """
    names = sorted({*strata, *quotas})
    number = {stratum: place for place, stratum in enumerate(names)}
    pool = Pool(
        tuple(ids),
        vectors,
        np.array(scores, dtype=np.float64),
        np.array([number[stratum] for stratum in strata], dtype=np.int64),
        np.array([quotas.get(stratum, 0) for stratum in names], dtype=np.int64),
        seed,
    )
    choice = strategy.choose(pool)
    chosen = np.array([pick.index for pick in choice.picks], dtype=np.int64)
    nearest, cosines = nearest_before(vectors, chosen)
    picks = [
        Pick(it.index, cosine, None if neighbour == NOBODY else neighbour, it.filled, it.gain)
        for it, neighbour, cosine in zip(choice.picks, nearest.tolist(), cosines.tolist(), strict=True)
    ]
    return Picked(picks, choice.left)
