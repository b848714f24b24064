"""A uniform sample of the ids in a sliding window, whatever their order and number of repeats.

Priority sampling over windows (Babcock, Datar & Motwani 2002): an item is kept while fewer than `k` later ones have a
smaller key; whatever the window then moves to, its `k` smallest keys are among those kept. About k (1 + ln(W / k))
items are held for a window of W.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from services.selector.keys import keyed_hash

Payload = TypeVar("Payload")


class Placed(NamedTuple, Generic[Payload]):
    """One item: its place in the stream (a number or a time, given by the data), id and key."""

    place: float
    id: str
    key: int
    payload: Payload


class SlidingReservoir(Generic[Payload]):
    """The `k` smallest keys among the items of the last `span` places.

    Parameters
    ----------
    k : int
        Items in the sample, above 0.
    span : float
        Length of the window in the unit of the places: an item at the newest place less `span` has just left it.
    seed : int
    """

    def __init__(self, k: int, span: float, seed: int) -> None:
        if k <= 0 or not span > 0.0:
            raise ValueError(f"a sliding reservoir needs k and span above 0, not {k} and {span}")
        self._k = k
        self._span = span
        self._seed = seed
        self._kept: list[Placed[Payload]] = []
        self._arrived: dict[str, Placed[Payload]] = {}

    def __len__(self) -> int:
        return len(self._items())

    def offer(self, sample_id: str, place: float, payload: Payload) -> None:
        """Offer an item. The place belongs to the id: of several the largest counts. Amortised cost O(log items).

        Raises
        ------
        ValueError
            When the place is no finite number.
        """
        if not math.isfinite(place):
            raise ValueError(f"the place of sample {sample_id!r} must be a finite number, not {place}")
        item = Placed(place, sample_id, keyed_hash("sliding", self._seed, sample_id), payload)
        known = self._arrived.get(sample_id)
        if known is None or known.place < place:
            self._arrived[sample_id] = item
        if len(self._arrived) > len(self._kept) + self._k:
            self._items()

    def sample(self) -> list[Placed[Payload]]:
        """Return the sample of the window that ends with the newest place, smallest key first."""
        return heapq.nsmallest(self._k, self._items(), key=lambda item: (item.key, item.id))

    def merge(self, other: SlidingReservoir[Payload]) -> None:
        """Take in another reservoir of the same settings.

        Raises
        ------
        ValueError
            When the settings differ.
        """
        if (other._k, other._span, other._seed) != (self._k, self._span, self._seed):
            raise ValueError("only sliding reservoirs of the same k, span and seed merge")
        for item in other._items():
            self.offer(item.id, item.place, item.payload)

    def _items(self) -> list[Placed[Payload]]:
        if self._arrived:
            self._kept = list(self._undominated(_newest_first((*self._kept, *self._arrived.values()))))
            self._arrived = {}
        return self._kept

    def _undominated(self, items: list[Placed[Payload]]) -> Iterator[Placed[Payload]]:
        """Yield the items in the window with fewer than `k` smaller keys among the later ones."""
        smallest: list[int] = []
        for item in items:
            if item.place <= items[0].place - self._span:
                return
            if len(smallest) < self._k:
                heapq.heappush(smallest, -item.key)
            elif item.key < -smallest[0]:
                heapq.heapreplace(smallest, -item.key)
            else:
                continue
            yield item


def _newest_first(items: Iterable[Placed[Payload]]) -> list[Placed[Payload]]:
    newest: dict[str, Placed[Payload]] = {}
    for item in items:
        if item.id not in newest or newest[item.id].place < item.place:
            newest[item.id] = item
    # Items of one place are ranked by key, so that none of them hides a smaller one.
    return sorted(newest.values(), key=lambda item: (-item.place, item.key, item.id))
