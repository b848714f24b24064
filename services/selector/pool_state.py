"""The mergeable state of one window: a reservoir for each stratum, and the fates of distinct samples.

Both levels keep it: the first of one partition and without the samples' bytes, the second of the whole window. What it
holds after a set of offers is a function of that set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.selector.distinct import Change, DistinctFates, Fate
from services.selector.explain import RESERVOIR_FULL
from services.selector.reservoir import Held, Reservoir, Verdict

Payload = TypeVar("Payload")

SCORED = "s"
REFUSED_LABEL = f"selector/{RESERVOIR_FULL}"


@dataclass(frozen=True, slots=True)
class Refusal(Generic[Payload]):
    """A sample that the reservoir refused or gave up, with its key and the bound."""

    held: Held[Payload]
    key: float
    bound: float


@dataclass(slots=True)
class Outcome(Generic[Payload]):
    """What one offer changed.

    Attributes
    ----------
    entered : bool
        Whether the offered version is held now and was not before.
    refusal : Refusal or None
        The sample that has to go: the offered one, or another that it displaced.
    superseded : Held or None
        A version of the same id that lost to another.
    changes : list of (id, Fate, Change)
        Fates that were stated, and what that changed.
    """

    entered: bool = False
    refusal: Refusal[Payload] | None = None
    superseded: Held[Payload] | None = None
    changes: list[tuple[str, Fate, Change]] = field(default_factory=list)


class PoolState(Generic[Payload]):
    """One window.

    Parameters
    ----------
    k : int
        Samples per stratum.
    seed : int
        The run's seed.
    sketch : int
        Distinct ids whose fate is counted exactly.
    """

    def __init__(self, k: int, seed: int, sketch: int) -> None:
        self._k = k
        self._seed = seed
        self._reservoirs: dict[str, Reservoir[Payload]] = {}
        self.fates = DistinctFates(sketch)

    def offer(self, stratum: str, sample_id: str, version: str, payload: Payload) -> Outcome[Payload]:
        """Offer a scored sample; `version` begins with its content hash, then a colon."""
        reservoir = self._reservoirs.get(stratum)
        if reservoir is None:
            reservoir = self._reservoirs[stratum] = Reservoir(self._k, self._seed)
        verdict, displaced, key = reservoir.offer(sample_id, version, payload)
        arrival = Held(sample_id, version, payload)
        outcome: Outcome[Payload] = Outcome(entered=verdict in (Verdict.ENTERED, Verdict.REPLACED))
        if outcome.entered:
            self._state(outcome, sample_id, Fate(content_of(version), SCORED, ""))
        if verdict is Verdict.REPLACED:
            outcome.superseded = displaced
        elif verdict is Verdict.SUPERSEDED:
            outcome.superseded = arrival
        gone = arrival if verdict is Verdict.REFUSED else displaced if verdict is Verdict.ENTERED else None
        if gone is not None:
            outcome.refusal = Refusal(gone, key, reservoir.bound)
            self._state(outcome, gone.id, Fate(content_of(gone.version), "r", REFUSED_LABEL))
        return outcome

    def state(self, sample_id: str, fate: Fate) -> Change:
        """Note how a sample ended that is not in the pool."""
        return self.fates.offer(sample_id, fate)

    def discard(self, sample_id: str, version: str) -> None:
        """Take a sample out that was found to be no part of the window."""
        for reservoir in self._reservoirs.values():
            reservoir.discard(sample_id, version)

    def __iter__(self) -> Iterator[Held[Payload]]:
        """Yield everything that is held, ids with two versions in two strata twice."""
        for stratum in sorted(self._reservoirs):
            yield from self._reservoirs[stratum]

    def held(self, sample_id: str) -> list[Held[Payload]]:
        """Return what is held under an id, in whichever stratum."""
        found = (reservoir.get(sample_id) for reservoir in self._reservoirs.values())
        return [held for held in found if held is not None]

    def standing(self) -> dict[str, Held[Payload]]:
        """Return the pool by id: of each id the smallest version, unless a smaller content of it ended elsewhere."""
        found: dict[str, Held[Payload]] = {}
        fates = {sample_id: fate for sample_id, fate in self.fates if fate.kind != SCORED}
        for held in self:
            fate = fates.get(held.id)
            elsewhere = fate is not None and fate < Fate(content_of(held.version), SCORED, "")
            if not elsewhere and (held.id not in found or held.version < found[held.id].version):
                found[held.id] = held
        return found

    def _state(self, outcome: Outcome[Payload], sample_id: str, fate: Fate) -> None:
        outcome.changes.append((sample_id, fate, self.fates.offer(sample_id, fate)))


def content_of(version: str) -> str:
    """Return the content hash that a version begins with."""
    return version.split(":", 1)[0]
