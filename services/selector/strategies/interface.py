"""What every strategy takes and gives: a pool in order of its ids, and a choice with a reason for every item.

All of them hold to one promise (G3): the choice is a function of the set of items and the seed. So the pool is sorted
by id, ties go to the smaller id, chance comes from keyed hashes of ids, and similarities are exact: vectors have
whole-number components (`services.selector.diversity.whole_number_vectors`), whose products every BLAS gives with the
same bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from services.selector.diversity import LENGTH, Vectors

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

SQUARE = float(LENGTH * LENGTH)
"""The product of a vector with itself: divide products by it to have cosines."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Items to choose from.

    Attributes
    ----------
    ids : tuple of str
        Strictly ascending.
    vectors : array of float32, shape (items, dimensions)
        Whole-number components, length 4,000; a zero row has no embedding and is unlike everything.
    scores : array of float, shape (items,)
        Finite.
    strata : array of int, shape (items,)
        The stratum of each item, a place in `quotas`.
    quotas : array of int, shape (strata,)
        How many to choose of each stratum; it may be more than there are.
    seed : int
        What chance depends on besides the ids.
    recorded : array of float16, shape (items, dimensions), optional
        The embeddings before they became whole numbers, for strategies with a bound on a cosine.

    Raises
    ------
    ValueError
        When any of this does not hold.
    """

    ids: tuple[str, ...]
    vectors: Vectors
    scores: Floats
    strata: Integers
    quotas: Integers
    seed: int = 0
    recorded: NDArray[np.float16] | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.ids), len(self.vectors), len(self.scores), len(self.strata)}
        if len(sizes) != 1:
            raise ValueError(f"a pool needs as many vectors, scores and strata as ids, not {sorted(sizes)}")
        if self.vectors.dtype != np.float32:
            raise ValueError(f"the vectors of a pool must be whole numbers in float32, not {self.vectors.dtype}")
        if any(left >= right for left, right in pairwise(self.ids)):
            raise ValueError("the ids of a pool must be strictly ascending")
        if not np.isfinite(self.scores).all():
            raise ValueError("the scores of a pool must be finite; refuse the others before")
        if (self.quotas < 0).any() or (len(self.ids) and self.strata.max() >= len(self.quotas)):
            raise ValueError("a pool needs a quota of 0 or more for each stratum")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def target(self) -> int:
        """How many can be chosen: the quotas, as far as there are items."""
        counts = np.bincount(self.strata, minlength=len(self.quotas))
        return int(np.minimum(counts, self.quotas).sum())

    def best_first(self) -> Integers:
        """Return all items from the best score down, equal ones by id."""
        return np.argsort(-self.scores, kind="stable")

    def part(self, members: Integers, quotas: Integers) -> Pool:
        """Return the pool of some items (ascending places) with other quotas."""
        ids = tuple(self.ids[place] for place in members.tolist())
        recorded = None if self.recorded is None else self.recorded[members]
        return Pool(ids, self.vectors[members], self.scores[members], self.strata[members], quotas, self.seed, recorded)


@dataclass(frozen=True, slots=True)
class Pick:
    """One chosen item.

    Attributes
    ----------
    index : int
        Its place in the pool.
    gain : float
        What it added when it was chosen, in the strategy's own unit.
    filled : bool
        Whether the strategy's rule had refused it and it only fills a quota.
    """

    index: int
    gain: float
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """Why an item was not chosen: the rule, its value and the bound that it did not reach.

    Attributes
    ----------
    nearest : int or None
        The item that stands for it, where the rule compares two.
    """

    reason: str
    value: float | None = None
    bound: float | None = None
    nearest: int | None = None


@dataclass(slots=True)
class Choice:
    """The chosen items in order of their rank, and all others with the rule that refused them."""

    picks: list[Pick] = field(default_factory=list)
    left: dict[int, Left] = field(default_factory=dict)


class Strategy(Protocol):
    """A way to choose. Its parameters are its fields.

    Attributes
    ----------
    name : str
    compares : bool
        Whether it looks at vectors, so that items need them.
    """

    name: ClassVar[str]
    compares: ClassVar[bool]

    def choose(self, pool: Pool) -> Choice:
        """Choose up to the quotas of the pool. Every item is in `picks` or in `left`."""
        ...


class Parameters(BaseModel):
    """The parameters of a strategy: checked, and closed to unknown names."""

    compares: ClassVar[bool] = True

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Openings:
    """Which items may still be chosen, while quotas fill up.

    Attributes
    ----------
    open : array of bool, shape (items,)
    """

    def __init__(self, pool: Pool) -> None:
        self._strata = pool.strata
        self._quotas = pool.quotas.copy()
        self.open: Mask = self._quotas[pool.strata] > 0 if len(pool) else np.zeros(0, dtype=bool)
        self.total = pool.target

    def take(self, index: int) -> None:
        """Note that an item is chosen."""
        stratum = self._strata[index]
        self.open[index] = False
        self.total -= 1
        self._quotas[stratum] -= 1
        if self._quotas[stratum] == 0:
            self.open[self._strata == stratum] = False


OUTGAINED = "outgained"
OUTRANKED = "outranked"
NO_QUOTA = "no_quota"


def left_behind(pool: Pool, picks: Iterable[Pick], values: Floats, reason: str = OUTGAINED) -> dict[int, Left]:
    """Return for each item that was not picked its value, and that of the last one picked of its stratum.

    Where all of a stratum were picked to fill it, by score, it is scores that are compared.
    """
    bounds: dict[int, float] = {}
    filled: dict[int, float] = {}
    picked = set()
    for pick in picks:
        picked.add(pick.index)
        if pick.filled:
            filled[int(pool.strata[pick.index])] = float(pool.scores[pick.index])
        else:
            bounds[int(pool.strata[pick.index])] = pick.gain
    left = {}
    for index in range(len(pool)):
        if index in picked:
            continue
        stratum, score = int(pool.strata[index]), float(pool.scores[index])
        if pool.quotas[stratum] == 0:
            left[index] = Left(NO_QUOTA, score, 0.0)
        elif stratum in bounds:
            left[index] = Left(reason, float(values[index]), bounds[stratum])
        else:
            left[index] = Left(OUTRANKED, score, filled.get(stratum))
    return left


def fill_by_score(pool: Pool, openings: Openings, picks: list[Pick]) -> None:
    """Fill what is open with the best scores."""
    for index in pool.best_first().tolist():
        if not openings.total:
            return
        if openings.open[index]:
            openings.take(index)
            picks.append(Pick(index, 0.0, filled=True))
