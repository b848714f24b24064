"""The drain barrier: when a window has left every stage before the last one, and the last one has it all.

A committed offset means that the outputs are delivered (limoflow.stream.ledger). So once a group has committed past the
known ends of its topics, everything made of those records lies before the ends that its output topics have now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from limoflow.stream.types import Offsets, TopicPartition


@dataclass(frozen=True, slots=True)
class Hop:
    """A consumer group and the topics that it must have read."""

    topics: tuple[str, ...]
    group: str


class DrainBarrier:
    """Follows one window through a chain of stages, hop by hop.

    It keeps nothing that must survive: begun anew, it only waits a little longer.

    Parameters
    ----------
    chain : sequence of Hop
        In the order of the flow; at least one.
    ends : mapping of TopicPartition to int
        For the first hop, the offset after the last record of the window (`WindowEnd.end_offsets`).
    """

    def __init__(self, chain: Sequence[Hop], ends: Mapping[TopicPartition, int]) -> None:
        if not chain:
            raise ValueError("a drain barrier needs at least one hop")
        self._chain = tuple(chain)
        self._ends = dict(ends)
        self._at = 0

    @property
    def waiting_for(self) -> Hop | None:
        """The hop that has not passed yet, or None when the window has drained."""
        return self._chain[self._at] if self._at < len(self._chain) else None

    def advance(self, offsets: Offsets) -> bool:
        """Look at the positions and return whether the window has drained."""
        while (hop := self.waiting_for) is not None:
            if not self._passed(hop, offsets):
                return False
            self._at += 1
            following = self.waiting_for
            self._ends = {} if following is None else _ends(following, offsets)
        return True

    def _passed(self, hop: Hop, offsets: Offsets) -> bool:
        for topic in {partition.topic for partition in self._ends}:
            wanted = {partition.partition: end for partition, end in self._ends.items() if partition.topic == topic}
            committed = offsets.committed(hop.group, topic)
            behind = {number for number, end in wanted.items() if committed.get(number, 0) < end}
            if behind:
                # What retention has deleted can be read by nobody, so nobody will ever commit it.
                starts = offsets.starts(topic)
                if any(starts.get(number, 0) < wanted[number] for number in behind):
                    return False
        return True


def _ends(hop: Hop, offsets: Offsets) -> dict[TopicPartition, int]:
    return {
        TopicPartition(topic, number): end for topic in hop.topics for number, end in offsets.ends(topic).items() if end
    }
