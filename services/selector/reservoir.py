"""A reservoir that keeps a uniform sample of the distinct ids offered, whatever their order and number of repeats.

Bottom-k sampling (Cohen & Kaplan 2007): each id has a fixed pseudo-random key, the `k` smallest stay. The state after
a set of offers is a function of that set, so reservoirs of parts merge exactly by offering one's content to the other.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from services.selector.keys import fraction, keyed_hash

Payload = TypeVar("Payload")


class Verdict(Enum):
    """What became of an offer."""

    ENTERED = "entered"
    REPLACED = "replaced"  # the same id was held with a greater version
    REPEATED = "repeated"  # held already, in this version
    SUPERSEDED = "superseded"  # held already, in a smaller version
    REFUSED = "refused"


class Held(NamedTuple, Generic[Payload]):
    """One id in a reservoir, with the version of it that stands."""

    id: str
    version: str
    payload: Payload


class Offer(NamedTuple, Generic[Payload]):
    """The verdict on an offer, what had to go for it, and the key of what is refused or went, in [0, 1]."""

    verdict: Verdict
    displaced: Held[Payload] | None = None
    key: float = 0.0


class Reservoir(Generic[Payload]):
    """The `k` ids with the smallest keys; of the versions of one id the smallest.

    Parameters
    ----------
    k : int
        Ids kept, above 0.
    seed : int
        Another seed keeps another, independent sample.
    """

    def __init__(self, k: int, seed: int) -> None:
        self._k = k
        self._purpose_seed = seed
        self._held: dict[str, Held[Payload]] = {}
        self._largest_first: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held[Payload]]:
        return iter(self._held.values())

    def get(self, sample_id: str) -> Held[Payload] | None:
        """Return what is held under an id."""
        return self._held.get(sample_id)

    def key(self, sample_id: str) -> float:
        """Return the key of an id as a number in [0, 1]."""
        return fraction(keyed_hash("reservoir", self._purpose_seed, sample_id))

    @property
    def bound(self) -> float:
        """The key above which ids are refused, in [0, 1]; 1 while there is room."""
        self._forget_discarded()
        return fraction(-self._largest_first[0][0]) if len(self._held) >= self._k else 1.0

    def offer(self, sample_id: str, version: str, payload: Payload) -> Offer[Payload]:
        """Offer one version of one id. Cost O(log k) when it enters, O(1) otherwise."""
        held = self._held.get(sample_id)
        arrival = Held(sample_id, version, payload)
        if held is not None:
            return self._offer_again(held, arrival)
        key = keyed_hash("reservoir", self._purpose_seed, sample_id)
        if len(self._held) < self._k:
            self._held[sample_id] = arrival
            heapq.heappush(self._largest_first, (-key, sample_id))
            return Offer(Verdict.ENTERED)
        self._forget_discarded()
        if key >= -self._largest_first[0][0]:
            return Offer(Verdict.REFUSED, key=fraction(key))
        self._held[sample_id] = arrival
        largest, evicted = heapq.heapreplace(self._largest_first, (-key, sample_id))
        return Offer(Verdict.ENTERED, self._held.pop(evicted), fraction(-largest))

    def discard(self, sample_id: str, version: str) -> None:
        """Take out an id, if it is held in that version."""
        held = self._held.get(sample_id)
        if held is not None and held.version == version:
            del self._held[sample_id]

    def _offer_again(self, held: Held[Payload], arrival: Held[Payload]) -> Offer[Payload]:
        if arrival.version == held.version:
            return Offer(Verdict.REPEATED)
        if arrival.version > held.version:
            return Offer(Verdict.SUPERSEDED)
        self._held[held.id] = arrival
        return Offer(Verdict.REPLACED, held)

    def _forget_discarded(self) -> None:
        while self._largest_first and self._largest_first[0][1] not in self._held:
            heapq.heappop(self._largest_first)
