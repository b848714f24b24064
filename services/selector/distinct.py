"""Where the distinct samples of a window ended, counted without counting repeats, in bounded memory.

A bottom-k sketch (Bar-Yossef et al. 2002; Beyer et al. 2007) of 64-bit hashes of ids, each with its fate: exact below
`k` distinct ids, above it the unbiased estimate (k - 1) / U_k with U_k the k-th smallest hash on [0, 1]. Of several
fates of one id the smallest stands, so sketches of parts merge exactly, in any order.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

_SPAN = 2**64
_KEYED = hashlib.blake2b(digest_size=8, key=b"distinct")


class Fate(NamedTuple):
    """How one content of one sample ended; the smallest stands.

    Attributes
    ----------
    content : str
        The content hash; of two contents the smaller wins (G2). `~` where none is known, which loses to all.
    kind : {"r", "s"} or "d"
        Refused, scored, dead-lettered. A refused content stays refused: `r` sorts before `s`.
    label : str
        `stage/reason` of a refusal, the stage of a dead letter, empty for a scored sample.
    """

    content: str
    kind: str
    label: str


class Change(NamedTuple):
    """What an offer changed: whether it stands now, and which fate of which id no longer does."""

    stands: bool
    gone: tuple[str, Fate] | None = None


_STANDS, _FALLS = Change(True), Change(False)


class DistinctFates:
    """The fates of the `k` ids with the smallest hashes.

    Parameters
    ----------
    k : int
        Distinct ids counted exactly; the relative standard error above is about 1 / sqrt(k - 2).
    """

    def __init__(self, k: int) -> None:
        self._k = k
        self._fates: dict[int, tuple[str, Fate]] = {}
        self._largest_first: list[int] = []
        self._overflowed = False

    def __len__(self) -> int:
        return len(self._fates)

    def __iter__(self) -> Iterator[tuple[str, Fate]]:
        return iter(self._fates.values())

    @property
    def exact(self) -> bool:
        """Whether every id that was offered is counted."""
        return not self._overflowed

    def fate(self, sample_id: str) -> Fate | None:
        """Return the fate of an id, where the sketch holds it."""
        found = self._fates.get(_hash(sample_id))
        return found[1] if found is not None and found[0] == sample_id else None

    def offer(self, sample_id: str, fate: Fate) -> Change:
        """Offer one fate of one id."""
        key = _hash(sample_id)
        held = self._fates.get(key)
        if held is not None:
            if fate >= held[1]:
                return _STANDS if fate == held[1] else _FALLS
            self._fates[key] = (sample_id, fate)
            return Change(True, held)
        if len(self._fates) < self._k:
            heapq.heappush(self._largest_first, -key)
            self._fates[key] = (sample_id, fate)
            return _STANDS
        self._overflowed = True
        if key > -self._largest_first[0]:
            return _FALLS
        self._fates[key] = (sample_id, fate)
        return Change(True, self._fates.pop(-heapq.heapreplace(self._largest_first, -key)))

    def counts(self) -> dict[tuple[str, str], int]:
        """Return the distinct ids by (kind, label), exact or estimated."""
        found = Counter((fate.kind, fate.label) for _, fate in self._fates.values())
        return {name: round(found[name] * self._scale()) for name in sorted(found)}

    def _scale(self) -> float:
        if self.exact:
            return 1.0
        kth_smallest = (-self._largest_first[0] + 1) / _SPAN
        return (self._k - 1) / kth_smallest / self._k


def _hash(sample_id: str) -> int:
    state = _KEYED.copy()
    state.update(sample_id.encode("utf-8", "surrogatepass"))
    return int.from_bytes(state.digest())
