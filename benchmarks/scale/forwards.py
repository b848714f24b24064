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
from itertools import pairwise

import numpy as np
import numpy.typing as npt

CHECKPOINTS = 1_000
_LEAST_ROWS = 250

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
    """Cumulated counts over a window, at a thousand places (fewer in a short one).

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
    Counts of the first level are exact in distribution. At the second level each count has the exact mean; its draws
    are independent where the real ones are slightly dependent.
    """
    blocks = min(CHECKPOINTS, math.ceil(stream.rows / _LEAST_ROWS))
    edges = np.linspace(0, stream.rows, blocks + 1).round().astype(np.int64)
    changes = np.array([_block(stream, int(begin), int(end), random) for begin, end in pairwise(edges)])
    forwarded, fates, accepted, written_back = changes.cumsum(axis=0).T
    ids = _arrived(stream, edges[1:].astype(np.float64), 1.0)
    held = np.minimum(_arrived(stream, edges[1:].astype(np.float64), stream.scored), stream.strata * stream.reservoir)
    return Course(
        admitted=ids.astype(np.int64),
        forwarded=forwarded,
        fates=fates,
        accepted=accepted,
        written_back=written_back,
        held=held.astype(np.int64),
        fates_held=np.rint(np.minimum(ids, stream.sketch) * (1.0 - held / ids)).astype(np.int64),
    )


def _block(stream: Stream, begin: int, end: int, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Return how many are forwarded, stated, accepted and written back in some rows; what is made lies in the cache."""
    rows = np.arange(begin, end + 1, dtype=np.float64)
    arrived = _arrived(stream, rows, stream.scored)
    new = np.diff(arrived).astype(np.int64)
    number = _since_restart(stream, rows[1:], stream.scored)
    enters = _last_kept(np.ceil(number / stream.strata), stream.reservoir)
    entered = random.binomial(new, enters)
    fates = random.binomial(new - entered, _last_kept(number, stream.sketch)).sum()
    for share in (stream.refused, stream.dead):
        if share > 0.0:
            elsewhere = np.diff(_arrived(stream, rows, share)).astype(np.int64)
            stands = _last_kept(_since_restart(stream, rows[1:], share), stream.sketch)
            fates += random.binomial(elsewhere, stands).sum()
    in_window = np.diff(entries(arrived / stream.strata, stream.reservoir)) * stream.strata / np.maximum(new, 1)
    accepted = random.binomial(entered, np.minimum(1.0, in_window / enters))
    given_up = np.maximum(entered - np.diff(np.minimum(arrived, stream.strata * stream.reservoir)), 0).astype(np.int64)
    ids = _arrived(stream, rows[1:], 1.0)
    written_back = random.binomial(given_up, _last_kept(ids, stream.sketch))
    return entered.sum(), fates, accepted.sum(), written_back.sum()


def _arrived(stream: Stream, rows: Numbers, share: float) -> Numbers:
    """Return how many samples of one end have come after so many rows, on all partitions."""
    return np.asarray(np.minimum(np.ceil(rows * share) * stream.partitions, math.ceil(stream.samples * share)))


def _since_restart(stream: Stream, rows: Numbers, share: float) -> Numbers:
    """Return the number of a row's sample on its partition since the pools were last empty, from 1."""
    beginnings = np.array(stream.beginnings, dtype=np.float64)
    begun = beginnings[np.searchsorted(beginnings, rows, side="left") - 1]
    return np.asarray(np.maximum(1.0, np.ceil(rows * share) - np.ceil(begun * share)))


def _last_kept(items: Numbers, kept: int) -> Numbers:
    """Return the probability that the last of so many items is among the `kept` smallest."""
    return np.minimum(1.0, kept / items)


def _harmonic(number: Numbers | np.float64) -> Numbers:
    # Of 0 items nothing is asked: the difference of two harmonic numbers is, and both are of at least 1.
    return np.asarray(np.euler_gamma + np.log(number) + 1 / (2 * number) - 1 / (12 * number**2))
