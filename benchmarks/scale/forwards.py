"""How many records the selector's two levels exchange, for any number of samples, without drawing their keys.

What is modelled is what services/selector does, record by record:

- the first level forwards a scored sample when it enters its partition's reservoir (bottom-k by a hash of the id, one
  reservoir a stratum), and the fate of any other sample when its id enters the partition's sketch (bottom-s by another
  hash). Samples refused or dead-lettered by earlier stages come on partitions of their own, each with its own sketch;
- the second level writes a tombstone for every sample that it refuses or gives up; with it the fate of that sample
  where the window's sketch holds its id, and else a tombstone of that fate too; and a tombstone for every fate that
  falls out of the sketch.

In a stream in an order that has nothing to do with the hashes, the i-th item of a partition is among the k smallest so
far with probability min(1, k/i), independently of the other items (Rényi 1962, whose records are k = 1). So the number
of partitions whose i-th item enters is binomial, and n / P draws are as exact as n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stream:
    """One window.

    Attributes
    ----------
    samples : int
        Admitted samples, in turn over the partitions and the strata.
    partitions : int
    reservoir, sketch : int
        `select.reservoir` (for each stratum) and `LIMOFLOW_SELECTOR_SKETCH`.
    strata : int
    refused : float
        Share that earlier stages refuse.
    dead : float
        Share that becomes dead letters before the selector, all in one stage.
    restarts : int
        How often every worker of the first level begins anew with empty pools, at equal distances.
    """

    samples: int
    partitions: int
    reservoir: int
    sketch: int
    strata: int = 1
    refused: float = 0.0
    dead: float = 0.0
    restarts: int = 0

    @property
    def scored(self) -> float:
        """The share that reaches the selector scored."""
        return 1.0 - self.refused - self.dead

    @property
    def rows(self) -> int:
        """Samples of the longest partition."""
        return math.ceil(self.samples / self.partitions)

    @property
    def beginnings(self) -> list[int]:
        """The rows before which the first level begins with empty pools, 0 first."""
        parts = self.restarts + 1
        return [math.ceil(part * self.rows / parts) for part in range(parts)]


@dataclass(frozen=True, slots=True)
class Course:
    """Cumulated counts over a window; each array has one element for each row, which is one sample a partition.

    Attributes
    ----------
    admitted : array of int
        Admitted samples so far.
    forwarded : array of int
        Samples that entered a local reservoir.
    fates : array of int
        Fates that the first level forwarded.
    accepted : array of int
        Forwarded samples that entered the second level's reservoir.
    written_back : array of int
        Fates that the second level wrote of samples that it refused or gave up.
    held, fates_held : array of int
        Live keys: samples in the second level's reservoirs, fates in its sketch.
    """

    admitted: Counts
    forwarded: Counts
    fates: Counts
    accepted: Counts
    written_back: Counts
    held: Counts
    fates_held: Counts

    @property
    def sample_tombstones(self) -> Counts:
        """Every forwarded sample that is not held has one."""
        return self.forwarded - self.held

    @property
    def fate_tombstones(self) -> Counts:
        """Every fate that is not held has one, and so has every sample given up whose fate was not written."""
        return self.fates + self.sample_tombstones - self.fates_held

    @property
    def records(self) -> Counts:
        """Records of selector.pool so far, all of which the second level reads."""
        written = self.forwarded + self.fates + self.written_back
        return written + self.sample_tombstones + self.fate_tombstones


def entries(items: float | Numbers, kept: int) -> Numbers:
    """Return how many of `items` enter a bottom-`kept` on average: all of the first, then kept (H_items - H_kept)."""
    beyond = np.maximum(items, kept)
    return np.minimum(items, kept) + kept * (_harmonic(beyond) - _harmonic(np.float64(kept)))


def expected_forwarded(stream: Stream) -> float:
    """Return the mean number of forwarded samples, about k P S (1 + ln(n / (k P S))) for S strata."""
    rounds = stream.restarts + 1
    cells = stream.partitions * stream.strata
    return float(rounds * cells * entries(stream.samples * stream.scored / cells / rounds, stream.reservoir))


def bound_of_design(stream: Stream) -> float:
    """Return DESIGN.md's k P ln(n / k), for each stratum."""
    items = stream.samples * stream.scored / stream.strata
    return stream.strata * stream.reservoir * stream.partitions * math.log(items / stream.reservoir)


def simulate(stream: Stream, random: np.random.Generator) -> Course:
    """Draw one course of a window.

    Parameters
    ----------
    stream : Stream
    random : numpy.random.Generator

    Returns
    -------
    Course

    Notes
    -----
    Counts of the first level are exact in distribution. At the second level each count has the exact mean (up to the
    rounding of the row that fills a reservoir); its draws are independent where the real ones are slightly dependent.
    """
    last = np.arange(1, stream.rows + 1, dtype=np.float64)
    ids = np.minimum(last * stream.partitions, stream.samples)
    scored = _Arrivals.of(stream, last, stream.scored)
    turn = np.ceil(scored.since_restart / stream.strata)
    enters = _last_kept(turn, stream.reservoir)
    entered = random.binomial(scored.partitions, enters)
    fates = random.binomial(scored.partitions - entered, _last_kept(scored.since_restart, stream.sketch))
    for share in (stream.refused, stream.dead):
        if share > 0.0:
            elsewhere = _Arrivals.of(stream, last, share)
            fates = fates + random.binomial(elsewhere.partitions, _last_kept(elsewhere.since_restart, stream.sketch))
    arrived = np.cumsum(scored.partitions)
    held = np.minimum(arrived, stream.strata * stream.reservoir)
    stays = _row_kept(arrived / stream.strata, stream.reservoir) / enters
    accepted = random.binomial(entered, np.minimum(1.0, stays))
    given_up = np.maximum(entered - np.diff(held, prepend=0), 0)
    written_back = random.binomial(given_up, np.minimum(1.0, stream.sketch / ids))
    in_pool = held / ids
    return Course(
        admitted=ids.astype(np.int64),
        forwarded=np.cumsum(entered),
        fates=np.cumsum(fates),
        accepted=np.cumsum(accepted),
        written_back=np.cumsum(written_back),
        held=held.astype(np.int64),
        fates_held=np.rint(np.minimum(ids, stream.sketch) * (1.0 - in_pool)).astype(np.int64),
    )


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """What comes in one row on the partitions of one topic.

    Attributes
    ----------
    partitions : array of int
        Partitions that get an item in this row.
    since_restart : array of float
        The number of that item on its partition since the pools were last empty, from 1.
    """

    partitions: Counts
    since_restart: Numbers

    @classmethod
    def of(cls, stream: Stream, last: Numbers, share: float) -> _Arrivals:
        number = np.ceil(last * share)
        new = np.diff(number, prepend=0.0)
        partitions = np.rint(new * stream.partitions).astype(np.int64)
        partitions[-1] -= round((stream.rows * stream.partitions - stream.samples) * new[-1])
        beginnings = np.array(stream.beginnings, dtype=np.float64)
        begun = beginnings[np.searchsorted(beginnings, last, side="left") - 1]
        return cls(partitions, np.maximum(1.0, number - np.ceil(begun * share)))


def _last_kept(items: Numbers, kept: int) -> Numbers:
    """Return the probability that the last of so many items is among the `kept` smallest."""
    return np.minimum(1.0, kept / items)


def _row_kept(items: Numbers, kept: int) -> Numbers:
    """Return the mean of that probability over each row, given the number of items at the end of each row."""
    new = np.diff(items, prepend=0.0)
    return np.diff(entries(items, kept), prepend=0.0) / np.where(new > 0.0, new, 1.0)


def _harmonic(number: Numbers | np.float64) -> Numbers:
    # Of 0 items nothing is asked: the difference of two harmonic numbers is, and both are of at least 1.
    return np.asarray(np.euler_gamma + np.log(number) + 1 / (2 * number) - 1 / (12 * number**2))
