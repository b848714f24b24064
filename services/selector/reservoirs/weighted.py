"""A weighted sample without replacement of the distinct ids offered, whatever their order and number of repeats.

A-Res (Efraimidis & Spirakis 2006): the key of an id is log(u) / weight, where u is a fixed pseudo-random number of the
id; the `k` largest keys stay. The state is a function of the set of offers, so reservoirs of parts merge exactly.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

from services.selector.keys import keyed_hash

Payload = TypeVar("Payload")

_BITS = 128


class Weighted(NamedTuple, Generic[Payload]):
    """One id in a reservoir, with its key, at most 0."""

    id: str
    weight: float
    key: float
    payload: Payload


class WeightedReservoir(Generic[Payload]):
    """The `k` ids with the largest keys.

    Parameters
    ----------
    k : int
        Ids kept, above 0.
    seed : int
        Another seed keeps another, independent sample.

    Notes
    -----
    The chance of an id to be the first of the sample is proportional to its weight; its chance to be in a sample of
    several is not exactly so (Efraimidis & Spirakis, remark 1).
    """

    def __init__(self, k: int, seed: int) -> None:
        if k <= 0:
            raise ValueError(f"a reservoir keeps at least one id, not {k}")
        self._k = k
        self._seed = seed
        self._held: dict[str, Weighted[Payload]] = {}
        self._smallest_first: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Weighted[Payload]]:
        """Yield what is held, largest key first."""
        return iter(sorted(self._held.values(), key=lambda held: (-held.key, held.id)))

    def offer(self, sample_id: str, weight: float, payload: Payload) -> bool:
        """Offer an id; return whether it is held afterwards.

        An id without weight (0) is never held. The weight belongs to the id: a repeat has the same.

        Raises
        ------
        ValueError
            When the weight is negative, infinite or no number, or another than before for an id that is held.
        """
        if not math.isfinite(weight) or weight < 0.0:
            raise ValueError(f"the weight of sample {sample_id!r} must be a finite number of at least 0, not {weight}")
        held = self._held.get(sample_id)
        if held is not None:
            if held.weight != weight:
                raise ValueError(f"sample {sample_id!r} has weight {weight}, but had {held.weight} before")
            return True
        if weight == 0.0:
            return False
        key = weighted_key(self._seed, sample_id, weight)
        entry = (key, sample_id)
        if len(self._held) >= self._k:
            if entry <= self._smallest_first[0]:
                return False
            del self._held[heapq.heappop(self._smallest_first)[1]]
        heapq.heappush(self._smallest_first, entry)
        self._held[sample_id] = Weighted(sample_id, weight, key, payload)
        return True

    def merge(self, other: WeightedReservoir[Payload]) -> None:
        """Take in another reservoir of the same seed; the result is that of one that saw both streams.

        Raises
        ------
        ValueError
            When seed or size differ: their keys cannot be compared.
        """
        if (other._seed, other._k) != (self._seed, self._k):
            raise ValueError("only reservoirs of the same seed and size merge")
        for held in other._held.values():
            self.offer(held.id, held.weight, held.payload)


def weighted_key(seed: int, sample_id: str, weight: float) -> float:
    """Return log(u) / weight for the fixed u of an id, uniform on (0, 1]."""
    return math.log((keyed_hash("weighted", seed, sample_id) + 1) / 2**_BITS) / weight
