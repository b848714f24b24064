"""A sample of each stratum, and how many each may give: in proportion, after Neyman, in equal or in fixed shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from services.selector.quotas import apportion, spread_out

Allocation = Literal["proportional", "neyman", "equal", "fixed"]


def allocate(
    total: int,
    sizes: Mapping[str, int],
    allocation: Allocation = "proportional",
    *,
    spreads: Mapping[str, float] | None = None,
    shares: Mapping[str, float] | None = None,
    caps: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """Divide a sample over strata.

    Parameters
    ----------
    total : int
    sizes : mapping
        Items of each stratum, N_h.
    allocation : {"proportional", "neyman", "equal", "fixed"}
        n_h proportional to N_h; to N_h s_h (Neyman 1934, the least variance of an estimated mean); to 1; to `shares`.
    spreads : mapping, optional
        s_h, the standard deviation of the figure within each stratum, for `neyman`. Where all are 0, every choice is
        as good, and the division is proportional.
    shares : mapping, optional
        For `fixed`; they need not add up to 1.
    caps : mapping, optional
        At most so many of a stratum, besides its size.

    Returns
    -------
    dict
        A count for each stratum by largest remainder, none above its cap; what the capped ones cannot take goes to the
        others in their shares, under `neyman` at last to strata without a spread. The counts add up to less than
        `total` where the strata, or with `fixed` those with a share, run out.

    Raises
    ------
    ValueError
        When shares or spreads are missing, negative or no numbers, or all shares are 0.
    """
    weights = _weights(sizes, allocation, spreads, shares)
    limits = caps or {}
    available = {name: min(size, limits.get(name, size)) for name, size in sizes.items()}
    return (apportion if allocation == "fixed" else spread_out)(total, weights, available)


def _weights(
    sizes: Mapping[str, int],
    allocation: Allocation,
    spreads: Mapping[str, float] | None,
    shares: Mapping[str, float] | None,
) -> Mapping[str, float]:
    if allocation == "equal":
        return dict.fromkeys(sizes, 1.0)
    if allocation == "fixed":
        weights = _checked("shares", shares)
        if not any(weights.values()):
            raise ValueError("the shares of a fixed allocation must not all be 0")
        return weights
    if allocation == "neyman":
        found = _checked("spreads", spreads)
        weights = {name: size * found.get(name, 0.0) for name, size in sizes.items()}
        return weights if any(weights.values()) else sizes
    return sizes


def _checked(what: str, numbers: Mapping[str, float] | None) -> Mapping[str, float]:
    if numbers is None:
        raise ValueError(f"this allocation needs {what}")
    for name, number in numbers.items():
        if not math.isfinite(number) or number < 0.0:
            raise ValueError(f"{what}[{name!r}] must be a finite number of at least 0, not {number}")
    return numbers
