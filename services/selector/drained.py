"""Which ended windows have drained: everything made of their rows has reached the merging level."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from limoflow.stream.drain import DrainBarrier, Hop
from limoflow.stream.types import Offsets, TopicPartition
from schemas.topics import CANDIDATE, POOL, RAW, REJECTED, SCORED, VERIFIED, dead_letters_of
from schemas.window import WindowEnd

Place = tuple[str, int]

CHAIN = (
    Hop((RAW,), "generator"),
    Hop((CANDIDATE,), "verifier"),
    Hop((VERIFIED,), "scorer"),
    Hop((SCORED,), "selector"),
    Hop((REJECTED, *(dead_letters_of(stage) for stage in ("ingestor", "generator", "verifier", "scorer"))), "selector"),
    Hop((POOL,), "selector-merge"),
)


class DrainWatch:
    """Follows every ended window, asking for positions no more often than it may.

    Parameters
    ----------
    offsets : Offsets
    polls_per_second : float
        Rounds of questions; in a round each position is asked for once, however many windows wait.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(self, offsets: Offsets, polls_per_second: float, clock: Callable[[], float]) -> None:
        self._offsets = offsets
        self._pause = 1.0 / polls_per_second
        self._clock = clock
        self._next = 0.0
        self._barriers: dict[Place, DrainBarrier] = {}

    def poll(self, ended: Mapping[Place, WindowEnd], wanted: Collection[Place]) -> list[Place]:
        """Return which of the wanted windows have drained, in order."""
        self._barriers = {place: barrier for place, barrier in self._barriers.items() if place in wanted}
        if not wanted or self._clock() < self._next:
            return []
        self._next = self._clock() + self._pause
        round_of_questions = _AskedOnce(self._offsets)
        return [place for place in sorted(wanted) if self._barrier(place, ended[place]).advance(round_of_questions)]

    def _barrier(self, place: Place, end: WindowEnd) -> DrainBarrier:
        if place not in self._barriers:
            ends = {TopicPartition(RAW, int(number)): offset for number, offset in end.end_offsets.items()}
            self._barriers[place] = DrainBarrier(CHAIN, ends)
        return self._barriers[place]


class _AskedOnce:
    """Positions as of one round.

    A barrier asks for the ends of a topic only after a committed position before it; so within a round the ends are
    never older than the positions that they are held against.
    """

    def __init__(self, offsets: Offsets) -> None:
        self._offsets = offsets
        self._committed: dict[tuple[str, str], dict[int, int]] = {}
        self._ends: dict[str, dict[int, int]] = {}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        if (group, topic) not in self._committed:
            self._committed[group, topic] = self._offsets.committed(group, topic)
        return self._committed[group, topic]

    def ends(self, topic: str) -> dict[int, int]:
        if topic not in self._ends:
            self._ends[topic] = self._offsets.ends(topic)
        return self._ends[topic]

    def starts(self, topic: str) -> dict[int, int]:
        return self._offsets.starts(topic)
