"""Greedy choice of what lies apart: the engine of k-center and MMR.

An item's value is its base less its largest nearness to what is chosen; the item with the largest value is chosen next.
Values only fall as more is chosen, so an old value is a bound: only items at the head are brought up to date, against
everything chosen since, in one matrix product. The result is that of the plain greedy algorithm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.selector.strategies.frontier import Frontier, frontier
from services.selector.strategies.interface import Choice, Floats, Integers, Openings, Pick, Pool, left_behind

_HEAD = 512
_BLOCK = 8_192


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """value(i | S) = base[i] - max over j in S of (scale * product(i, j) - toll[j]).

    Attributes
    ----------
    base, toll : array of float, shape (items,)
    scale : float
        Above 0.
    """

    base: Floats
    toll: Floats
    scale: float

    def nearness(self, pool: Pool, rows: Integers, chosen: Integers) -> Floats:
        """Return the nearness of some items to chosen ones, shape (rows, chosen)."""
        products = (pool.vectors[rows] @ pool.vectors[chosen].T).astype(np.float64)
        products *= self.scale
        products -= self.toll[chosen]
        return products


def choose_apart(pool: Pool, terms: Terms) -> Choice:
    """Choose greedily; the first is the one with the best score.

    Its gain is its base. Cost O(items x chosen x dimensions) at most, mostly far less; memory O(items).
    """
    walk = _Walk(pool, terms)
    if walk.openings.total:
        walk.start(next(int(index) for index in pool.best_first() if walk.openings.open[index]))
    while walk.openings.total:
        walk.advance(frontier(walk.values, walk.openings.open, _HEAD))
    return Choice(walk.picks, left_behind(pool, walk.picks, walk.values))


class _Walk:
    def __init__(self, pool: Pool, terms: Terms) -> None:
        self._pool = pool
        self._terms = terms
        self._chosen = np.zeros(pool.target, dtype=np.int64)
        self._seen = np.zeros(len(pool), dtype=np.int64)
        self.values = terms.base.astype(np.float64)
        self.openings = Openings(pool)
        self.picks: list[Pick] = []

    def start(self, first: int) -> None:
        """Choose the first item, and value all others by it."""
        self.take(first)
        for start in range(0, len(self._pool), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(self._pool)))
            nearness = self._terms.nearness(self._pool, rows, self._chosen[:1])[:, 0]
            self.values[rows] = self._terms.base[rows] - nearness
        self._seen[:] = 1

    def take(self, index: int) -> None:
        self._chosen[len(self.picks)] = index
        self.picks.append(Pick(index, float(self.values[index])))
        self.openings.take(index)

    def advance(self, head: Frontier) -> None:
        """Bring the head up to date, then choose from it as long as its best beats everything outside."""
        self._refresh(head)
        within = self._terms.nearness(self._pool, head.members, head.members)
        while self.openings.total:
            values = np.where(self.openings.open[head.members], self.values[head.members], -np.inf)
            place = int(values.argmax())
            index = int(head.members[place])
            if values[place] == -np.inf or not head.wins(float(values[place]), index):
                return
            self.take(index)
            others = self.openings.open[head.members]
            falls = self._terms.base[head.members] - within[:, place]
            lower = others & (falls < self.values[head.members])
            self.values[head.members[lower]] = falls[lower]
            self._seen[head.members] = len(self.picks)

    def _refresh(self, head: Frontier) -> None:
        stale = head.members[self._seen[head.members] < len(self.picks)]
        if not len(stale):
            return
        news = self._chosen[self._seen[stale].min() : len(self.picks)]
        falls = self._terms.base[stale] - self._terms.nearness(self._pool, stale, news).max(axis=1)
        self.values[stale] = np.minimum(self.values[stale], falls)
        self._seen[stale] = len(self.picks)
