"""How far the scores of a run's newest window have moved from those of its first one: the population stability index.

PSI = sum over bins of (p - q) ln(p / q), with p the shares of the newest window and q those of the reference. By custom
0.1 is little and 0.25 much (Siddiqi, Credit Risk Scorecards, 2006).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

BINS = 10
LEAST = 100
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
    """The reference histogram of one score of one run, and that of its newest window."""

    __slots__ = ("newest", "reference", "reference_window", "window")

    def __init__(self, window: int) -> None:
        self.reference_window = self.window = window
        self.reference = [0] * BINS
        self.newest = [0] * BINS


class DriftWatch:
    """Follows the scores of the newest 16 runs, in what this process sees of them.

    The reference of a run is the first window that this process saw of it, the newest is the highest window number.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[str, dict[str, _Bins]] = OrderedDict()

    def take(self, run_id: str, window: int, score: str, value: float) -> float | None:
        """Enter a value, and return the index where both windows have at least 100 values.

        Parameters
        ----------
        value : float
            In bins of a tenth from 0 to 1; what lies outside counts into the first or last bin.
        """
        scores = self._held.setdefault(run_id, {})
        self._held.move_to_end(run_id)
        if len(self._held) > _RUNS:
            self._held.popitem(last=False)
        bins = scores.setdefault(score, _Bins(window))
        if window > bins.window:
            bins.window, bins.newest = window, [0] * BINS
        number = 0 if not value > 0 else min(BINS - 1, int(min(value, 1.0) * BINS))
        if window == bins.reference_window:
            bins.reference[number] += 1
        elif window == bins.window:
            bins.newest[number] += 1
        if min(sum(bins.reference), sum(bins.newest)) < LEAST:
            return None
        return psi(bins.reference, bins.newest)
