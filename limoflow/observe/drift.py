"""How far the scores of a run's newest window have moved from those of its first one: the population stability index.

PSI = sum over bins of (p - q) ln(p / q), with p the shares of the newest window and q those of the reference. By custom
0.1 is little and 0.25 much (Siddiqi, Credit Risk Scorecards, 2006). Windows of n and m values that differ by chance
alone have an index of (B - 1)(1/n + 1/m) on average, for B bins (Yurdakul and Naranjo, Statistical Properties of the
Population Stability Index, 2020): that is taken off.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

BINS = 10
LEAST = 200
IDLE_S = 3600.0
_RUNS = 16


def psi(reference: Sequence[int], newest: Sequence[int]) -> float:
    """Return the population stability index of two histograms over the same bins, at least 0.

    Half a sample is added to every bin, so that an empty one does not make it infinite.

    Raises
    ------
    ValueError
        When the histograms have different numbers of bins.
    """
    shares = [[(count + 0.5) / (sum(counts) + 0.5 * len(counts)) for count in counts] for counts in (newest, reference)]
    return math.fsum((p - q) * math.log(p / q) for p, q in zip(*shares, strict=True))


class _Bins:
    """The reference histogram of one score of one run, that of its newest window, and what they amount to."""

    __slots__ = ("index", "newest", "reference", "reference_window", "seen", "window")

    def __init__(self, window: int) -> None:
        self.reference_window = self.window = window
        self.reference = [0] * BINS
        self.newest = [0] * BINS
        self.index: float | None = None
        self.seen = 0.0


class DriftWatch:
    """Follows the scores of the newest 16 runs, in what this process sees of them.

    The reference of a run is the first window that this process saw of it, the newest is the highest window number.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: OrderedDict[str, dict[str, _Bins]] = OrderedDict()

    def take(self, run_id: str, window: int, score: str, value: float) -> float | None:
        """Enter a value, and return the index, where both windows have at least 200 values.

        Parameters
        ----------
        value : float
            In bins of a tenth from 0 to 1; what lies outside counts into the first or last bin.

        Returns
        -------
        float or None
            0 where the windows differ no more than chance makes them.
        """
        scores = self._held.setdefault(run_id, {})
        self._held.move_to_end(run_id)
        if len(self._held) > _RUNS:
            self._held.popitem(last=False)
        bins = scores.setdefault(score, _Bins(window))
        bins.seen = self._clock()
        if window > bins.window:
            bins.window, bins.newest = window, [0] * BINS
        number = 0 if not value > 0 else min(BINS - 1, int(min(value, 1.0) * BINS))
        if window == bins.reference_window:
            bins.reference[number] += 1
        elif window == bins.window:
            bins.newest[number] += 1
        sizes = sum(bins.reference), sum(bins.newest)
        if min(sizes) >= LEAST:
            by_chance = (BINS - 1) * sum(1 / size for size in sizes)
            bins.index = max(0.0, psi(bins.reference, bins.newest) - by_chance)
        return bins.index

    def worst(self, score: str) -> float:
        """Return the largest index of a score over the runs that had a value of it in the last hour; NaN without any.

        May be called from another thread.
        """
        since = self._clock() - IDLE_S
        flowing = [scores[score] for scores in list(self._held.values()) if score in scores]
        indices = [bins.index for bins in flowing if bins.seen >= since and bins.index is not None]
        return max(indices, default=math.nan)
