"""Ways to make one score of several, over a whole pool: functions of the set of samples, never of their order (G3).

A part that is missing is no number: `mean`, `rank` and `minimum_rank` go by the others, `product` gives no score, and
for `pareto` it counts as the worst. What is NaN or infinite was made missing before (`finite_parts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from schemas.run import Bounds
from services.selector.combine import combine, rounded

Parts = Mapping[str, float]
Weights = Mapping[str, float]
Floats = NDArray[np.float64]


def final_scores(parts: Sequence[Parts], weights: Weights, method: str) -> list[float | None]:
    """Return the score of each sample of a pool, in [0, 1]; None where no weighted part is there.

    Parameters
    ----------
    parts : sequence of mapping
        Finite numbers in [0, 1], for each sample.
    weights : mapping
        Non-negative; a part without a positive weight does not count.
    method : {"mean", "rank", "minimum_rank", "pareto", "product"}

    Raises
    ------
    ValueError
        When there is no such method.
    """
    if method not in METHODS:
        raise ValueError(f"no way to combine scores is called {method!r}; known: {', '.join(METHODS)}")
    return METHODS[method](parts, weights)


def weighted_mean(parts: Sequence[Parts], weights: Weights) -> list[float | None]:
    """Return the weighted mean of each sample's parts."""
    return [combine(one, weights) for one in parts]


def weighted_rank(parts: Sequence[Parts], weights: Weights) -> list[float | None]:
    """Return the weighted mean of percentile ranks (a weighted Borda count)."""
    return weighted_mean(percentile_ranks(parts, weights), weights)


def minimum_rank(parts: Sequence[Parts], weights: Weights) -> list[float | None]:
    """Return the smallest percentile rank: a sample is as good as its weakest part (match-fluency's rule)."""
    return [min(ranks.values(), default=None) for ranks in percentile_ranks(parts, weights)]


def product(parts: Sequence[Parts], weights: Weights) -> list[float | None]:
    """Return the product of the weighted parts (DEITA: complexity times quality); weights only say which."""
    names = _weighted(weights)
    found: list[float | None] = []
    for one in parts:
        whole = bool(names) and all(name in one for name in names)
        found.append(rounded(float(np.prod([one[name] for name in names]))) if whole else None)
    return found


def pareto(parts: Sequence[Parts], weights: Weights) -> list[float | None]:
    """Return 1 for the samples that no other one dominates, less for each layer below; equal within a layer.

    A sample dominates another when it is no worse in every part and better in one.
    """
    layers = pareto_layers(_matrix(parts, _weighted(weights)))
    known = [layer for layer in layers if layer is not None]
    count = max(known, default=0) + 1
    return [None if layer is None else rounded(1.0 - layer / count) for layer in layers]


METHODS: dict[str, Callable[[Sequence[Parts], Weights], list[float | None]]] = {
    "mean": weighted_mean,
    "rank": weighted_rank,
    "minimum_rank": minimum_rank,
    "pareto": pareto,
    "product": product,
}


def percentile_ranks(parts: Sequence[Parts], weights: Weights) -> list[dict[str, float]]:
    """Return for each sample the mid-rank of its weighted parts among the pool's, in [0, 1]."""
    ranked: list[dict[str, float]] = [{} for _ in parts]
    for name in _weighted(weights):
        holders = [index for index, one in enumerate(parts) if name in one]
        values = np.array([parts[index][name] for index in holders])
        table = np.sort(values)
        middle = np.searchsorted(table, values, side="left") + np.searchsorted(table, values, side="right")
        for index, rank in zip(holders, (middle / (2 * max(1, len(table)))).tolist(), strict=True):
            ranked[index][name] = rounded(rank)
    return ranked


def pareto_layers(values: Floats) -> list[int | None]:
    """Return the layer of each row, 0 for the rows that no other one dominates; None for rows without a number.

    Efficient non-dominated sorting (Zhang et al. 2015): rows in lexicographic order, each put by binary search into the
    first layer that holds nothing which dominates it.

    Parameters
    ----------
    values : array of float, shape (rows, parts)
        Greater is better; NaN counts as the worst.
    """
    layers: list[int | None] = [None] * len(values)
    filled = np.where(np.isnan(values), -np.inf, values)
    counted = [index for index in range(len(values)) if np.isfinite(filled[index]).any()]
    fronts: list[_Front] = []
    for index in sorted(counted, key=lambda row: tuple(-filled[row])):
        low, high = 0, len(fronts)
        while low < high:
            middle = (low + high) // 2
            if fronts[middle].dominates(filled[index]):
                low = middle + 1
            else:
                high = middle
        if low == len(fronts):
            fronts.append(_Front(filled.shape[1]))
        fronts[low].add(filled[index])
        layers[index] = low
    return layers


class _Front:
    """The rows of one layer, in an array that grows by doubling: a layer may hold most of a pool."""

    def __init__(self, parts: int) -> None:
        self._rows: Floats = np.empty((16, parts))
        self._count = 0

    def add(self, row: Floats) -> None:
        """Add a row."""
        if self._count == len(self._rows):
            self._rows = np.concatenate((self._rows, np.empty_like(self._rows)))
        self._rows[self._count] = row
        self._count += 1

    def dominates(self, row: Floats) -> bool:
        """Return whether a row of the layer is no worse in every part and better in one."""
        rows = self._rows[: self._count]
        no_worse = rows[(rows >= row).all(axis=1)]
        return bool((no_worse > row).any())


def broken_bound(value: float | None, bounds: Bounds) -> tuple[str, str] | None:
    """Return a value and the bound that it breaks, in words; None where it holds all of them."""
    if value is None:
        return "missing", "a number"
    broken = (
        (bounds.least is not None and value < bounds.least, f"at least {bounds.least}"),
        (bounds.most is not None and value > bounds.most, f"at most {bounds.most}"),
        (bounds.below is not None and value >= bounds.below, f"below {bounds.below}"),
    )
    return next(((f"{value:g}", bound) for breaks, bound in broken if breaks), None)


def _matrix(parts: Sequence[Parts], names: Sequence[str]) -> Floats:
    return np.array([[one.get(name, np.nan) for name in names] for one in parts]).reshape(len(parts), len(names))


def _weighted(weights: Weights) -> list[str]:
    return [name for name in sorted(weights) if weights[name] > 0.0]
