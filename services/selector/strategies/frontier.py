"""The head of a lazy greedy walk (Minoux 1978): of upper bounds the largest, which are the ones to bring up to date."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from services.selector.strategies.interface import Floats, Integers, Mask


class Frontier(NamedTuple):
    """The items with the largest bounds, and what the others can reach at most.

    Attributes
    ----------
    members : array of int
        Ascending.
    outside : float
        No other item has a larger bound.
    first_outside : int
        The first of the others with exactly that bound, or past the end.
    """

    members: Integers
    outside: float
    first_outside: int

    def wins(self, value: float, index: int) -> bool:
        """Return whether an item of this value comes before all that are outside, ties going to the smaller id."""
        return value > self.outside or (value == self.outside and index < self.first_outside)


def frontier(bounds: Floats, allowed: Mask, size: int) -> Frontier:
    """Return the `size` allowed items with the largest bounds, of equal ones the first."""
    candidates = np.flatnonzero(allowed)
    if len(candidates) <= size:
        return Frontier(candidates, -math.inf, len(bounds))
    values = bounds[candidates]
    cut = len(values) - size
    lowest = np.partition(values, cut)[cut]
    ties = candidates[values == lowest]
    above = candidates[values > lowest]
    room = size - len(above)
    members = np.sort(np.concatenate((above, ties[:room])))
    first_outside = int(ties[room]) if room < len(ties) else len(bounds)
    return Frontier(members, float(lowest), first_outside)
