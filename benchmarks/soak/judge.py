"""What a soak must show, computed from what was sampled: memory that stays flat, lag that does not grow."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

Series = Sequence[tuple[float, float]]
LEAST_POINTS = 3
# A process that has just begun loads its models and fills its caches.
SETTLED_S = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The memory of one process and its children at one moment.

    Attributes
    ----------
    at_s : float
        Seconds after the beginning.
    role : str
        Service, `triton` or `kafka`.
    life : int
        Process id, which tells one life of the role from the next.
    age_s : float
        Seconds since this life began.
    bytes : float
        What only these processes hold (USS).
    """

    at_s: float
    role: str
    life: int
    age_s: float
    bytes: float


def growth(series: Series, parts: int) -> float | None:
    """Return by how much the median of the last part of a time lies above that of the first, as a share of the first.

    None where one of the two has fewer than three points.
    """
    ends = _ends(series, parts)
    return None if ends is None or not ends[0] else ends[1] / ends[0] - 1.0


def rise(series: Series, parts: int) -> float | None:
    """Return the same as a difference."""
    ends = _ends(series, parts)
    return None if ends is None else ends[1] - ends[0]


def _ends(series: Series, parts: int) -> tuple[float, float] | None:
    if not series:
        return None
    begin, end = min(at for at, _ in series), max(at for at, _ in series)
    width = (end - begin) / parts
    first = [value for at, value in series if at <= begin + width]
    last = [value for at, value in series if at >= end - width]
    if min(len(first), len(last)) < LEAST_POINTS:
        return None
    return statistics.median(first), statistics.median(last)


@dataclass(frozen=True, slots=True)
class Flatness:
    """How the memory of a role grew after the warm-up.

    Attributes
    ----------
    median_bytes : float
    across : float or None
        From the first fifth to the last, over all lives; processes that are still settling left out.
    within : float or None
        The same within the longest life, where that covers at least half of the time.
    """

    median_bytes: float
    across: float | None
    within: float | None


def flatness(samples: Iterable[Sample], warm_up_s: float, settled_s: float = SETTLED_S) -> dict[str, Flatness]:
    """Return the growth of every role's memory."""
    roles: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.at_s >= warm_up_s and sample.age_s >= settled_s:
            roles[sample.role].append(sample)
    return {role: _flatness(found) for role, found in sorted(roles.items())}


def _flatness(samples: Sequence[Sample]) -> Flatness:
    lives: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for sample in samples:
        lives[sample.life].append((sample.at_s, sample.bytes))
    whole = [(sample.at_s, sample.bytes) for sample in samples]
    longest = max(lives.values(), key=_span)
    within = growth(longest, 5) if _span(longest) * 2 >= _span(whole) else None
    return Flatness(statistics.median(sample.bytes for sample in samples), growth(whole, 5), within)


def _span(series: Series) -> float:
    return max(at for at, _ in series) - min(at for at, _ in series)


def slope(series: Series) -> float:
    """Return the median of the slopes between all pairs of points, in units a second.

    Theil 1950; Sen 1968, "Estimates of the regression coefficient based on Kendall's tau": peaks do not sway it.
    """
    ordered = sorted(series)
    found = [
        (later - earlier) / (end - begin)
        for index, (begin, earlier) in enumerate(ordered)
        for end, later in ordered[index + 1 :]
        if end > begin
    ]
    return statistics.median(found) if found else 0.0


def silence(progress: Sequence[tuple[float, float, float]]) -> float:
    """Return the longest time in which a stage had work and finished none.

    Parameters
    ----------
    progress : sequence of (seconds, handled, lag)
        In the order of time.
    """
    longest, since = 0.0, None
    for (begin, before, waiting), (end, after, _) in pairwise(progress):
        if after > before or waiting <= 0:
            since = None
            continue
        since = begin if since is None else since
        longest = max(longest, end - since)
    return longest


def totals(lags: Mapping[str, Series]) -> list[tuple[float, float]]:
    """Add the lags of all stages at each moment."""
    summed: dict[float, float] = defaultdict(float)
    for series in lags.values():
        for at, lag in series:
            summed[at] += lag
    return sorted(summed.items())
