"""What happens when: faults drawn from a shuffled deck, so that every kind comes before any comes again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.support.faults import SERVICES, VICTIMS

Kind = Literal["kill", "restart", "pause", "slow"]
KINDS: tuple[Kind, ...] = ("kill", "restart", "pause", "slow")
PAUSED = (*SERVICES, "triton", "kafka")
SHORTEST_S, LONGEST_S = 5.0, 30.0
QUIET_END = 0.1


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong.

    Attributes
    ----------
    at_s : float
        Seconds after the beginning; later where an earlier fault takes longer.
    kind : {"kill", "restart", "pause", "slow"}
        SIGKILL, SIGTERM, SIGSTOP and after some seconds SIGCONT, or the network between services and broker.
    victim : str
        A service, Triton, one of its stubs, or the broker; the network's name is `network`.
    seconds : float
        How long a pause or a slow network lasts.
    latency_s, bytes_per_s : float
        Of the slow network, in each direction.
    """

    at_s: float
    kind: Kind
    victim: str
    seconds: float = 0.0
    latency_s: float = 0.0
    bytes_per_s: float = 0.0

    def __str__(self) -> str:
        if self.kind == "slow":
            rate = f"{self.bytes_per_s / 1000:.0f} kB/s"
            return f"slow network for {self.seconds:.0f} s: {self.latency_s * 1000:.0f} ms, {rate}"
        return f"{self.kind} {self.victim}" + (f" for {self.seconds:.0f} s" if self.seconds else "")


def faults(seconds: float, every_s: float, seed: int, kinds: Sequence[Kind] = KINDS) -> list[Fault]:
    """Return the faults of a soak, about one in `every_s` seconds; none begins in the last tenth.

    The same arguments give the same faults.
    """
    chance = random.Random(seed)
    end = seconds * (1 - QUIET_END)
    times = sorted(chance.uniform(0.0, end) for _ in range(max(1, round(end / every_s))))
    deck = _endless(kinds, chance)
    return [_drawn(at_s, *next(deck), chance) for at_s in times]


def _endless(kinds: Sequence[Kind], chance: random.Random) -> Iterator[tuple[Kind, str]]:
    victims: dict[Kind, tuple[str, ...]] = {
        "kill": VICTIMS,
        "restart": ("kafka",),
        "pause": PAUSED,
        # As often as a few services together: it is the one fault that concerns them all.
        "slow": ("network",) * 4,
    }
    while True:
        deck = [(kind, victim) for kind in kinds for victim in victims[kind]]
        chance.shuffle(deck)
        yield from deck


def _drawn(at_s: float, kind: Kind, victim: str, chance: random.Random) -> Fault:
    if kind == "pause":
        return Fault(at_s, kind, victim, chance.uniform(SHORTEST_S, LONGEST_S))
    if kind == "slow":
        latency_s, rate = chance.uniform(0.02, 0.2), chance.uniform(0.5e6, 4e6)
        return Fault(at_s, kind, victim, chance.uniform(LONGEST_S, 2 * LONGEST_S), latency_s, rate)
    return Fault(at_s, kind, victim)
