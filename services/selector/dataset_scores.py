"""Figures of a whole set of samples: how varied it is, what it covers, how much of it says the same.

All are functions of the set. Sums are rounded to 6 digits, so that the last bits of a library do not enter a manifest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

_DIGITS = 6


def entropy(labels: Iterable[Hashable]) -> float:
    """Return Shannon's entropy of labels, nats, 0 for one label or none."""
    counts = Counter(labels)
    whole = counts.total()
    return _rounded(math.fsum(-c / whole * math.log(c / whole) for c in sorted(counts.values()))) if whole else 0.0


def evenness(labels: Sequence[Hashable]) -> float:
    """Return the entropy divided by that of equal shares, in [0, 1]; 1 for fewer than two distinct labels."""
    kinds = len(set(labels))
    return 1.0 if kinds < 2 else min(1.0, _rounded(entropy(labels) / math.log(kinds)))


def coverage(labels: Iterable[str], taxonomy: Iterable[str]) -> float:
    """Return the share of the taxonomy's labels that occur, in [0, 1]; 1 for an empty taxonomy."""
    wanted = set(taxonomy)
    return _rounded(len(wanted & set(labels)) / len(wanted)) if wanted else 1.0


def duplicate_rate(fingerprints: Sequence[Hashable]) -> float:
    """Return the share of items that repeat another one, in [0, 1)."""
    return _rounded(1.0 - len(set(fingerprints)) / len(fingerprints)) if fingerprints else 0.0


def vendi(vectors: NDArray[np.float16] | NDArray[np.float32] | NDArray[np.float64]) -> float:
    """Return the Vendi score: how many wholly different items would be as varied, from 1 to the number of rows.

    The exponential of the entropy of the eigenvalues of K / n, K the matrix of cosines (Friedman and Dieng 2023). They
    are taken from the smaller of the two Gram matrices. 0 where no row has a length.

    Parameters
    ----------
    vectors : array, shape (rows, dimensions)
        Rows that are zero or not finite are left out.
    """
    rows = vectors.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1) if rows.size else np.zeros(len(rows))
    usable = np.isfinite(lengths) & (lengths > 0.0)
    if not usable.any():
        return 0.0
    unit = rows[usable] / lengths[usable, None]
    gram = unit.T @ unit if unit.shape[1] < len(unit) else unit @ unit.T
    shares = np.linalg.eigvalsh(gram / len(unit))
    shares = shares[shares > 1e-12]
    return _rounded(math.exp(-float((shares * np.log(shares)).sum())))


def flag(freshness: float, scale: float, alignment: float, granularity: float) -> float:
    """Return FLAG, the geometric mean of four figures in [0, 1].

    [own] The seed names Freshness, Large scale, Alignment and Granularity without formulas; see `freshness`, `scale`,
    `evenness` times `coverage`, and the mean of the scores of detail.
    """
    parts = (freshness, scale, alignment, granularity)
    if any(not 0.0 <= part <= 1.0 for part in parts):
        raise ValueError(f"FLAG takes four figures in [0, 1], not {parts}")
    return _rounded(math.prod(parts) ** 0.25)


def freshness(ages_in_days: Sequence[float], half_life: float = 365.0) -> float:
    """Return the mean of 2 ** (-age / half-life), in [0, 1]; 0 for nothing. The clock is the caller's."""
    if not ages_in_days:
        return 0.0
    return _rounded(math.fsum(2.0 ** (-max(0.0, age) / half_life) for age in sorted(ages_in_days)) / len(ages_in_days))


def scale(effective: float, target: float) -> float:
    """Return min(1, ln(1 + effective) / ln(1 + target)); `effective` is a Vendi score or a count of distinct items."""
    return 1.0 if target <= 0.0 else min(1.0, _rounded(math.log1p(max(0.0, effective)) / math.log1p(target)))


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
