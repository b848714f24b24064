"""Double density: what is rare everywhere, and what is rare among its own kind."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from services.selector.keys import fraction, keyed_hash
from services.selector.strategies.clusters import cluster, hashed_order
from services.selector.strategies.interface import SQUARE, Choice, Floats, Integers, Parameters, Pool
from services.selector.strategies.plain import NOT_DRAWN, take_in_order

_BLOCK = 2_048


class DoubleDensity(Parameters):
    """Draw with chance p_i proportional to balance x global(i) + (1 - balance) x local(i), without replacement.

    [own] No formula is published under this name. global(i) is the inverse of the density around i, as the distance to
    its k-th nearest among a uniform sample of the pool (a kernel-free variant of density sampling, Sachdeva et al.
    2024); local(i) gives every cluster the same share, so it is 1 / (clusters x size of the cluster of i). The draw is
    A-Res (Efraimidis & Spirakis 2006) with keys from hashed ids. `gain` is the key of the draw, exp(log(u) / p'), 0 to
    1, where p' is p relative to the largest.

    Attributes
    ----------
    balance : float
        0 to 1.
    neighbours : int
        k.
    reference : int
        Size of the uniform sample.
    items_per_cluster : int
        Clusters are so many that each has about this many items.
    """

    name: ClassVar[str] = "density"

    balance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    neighbours: Annotated[int, Field(gt=0)] = 8
    reference: Annotated[int, Field(gt=1)] = 2_048
    items_per_cluster: Annotated[int, Field(gt=0)] = 200

    def choose(self, pool: Pool) -> Choice:
        """Choose. Cost O(items x (reference + clusters) x dimensions)."""
        keys = self.keys(pool)
        order = np.argsort(-keys, kind="stable")
        return take_in_order(pool, order, keys, NOT_DRAWN)

    def chances(self, pool: Pool) -> Floats:
        """Return p, shape (items,), which adds up to 1."""
        if not len(pool):
            return np.zeros(0)
        labels, _ = cluster(pool, -(-len(pool) // self.items_per_cluster))
        sizes = np.bincount(labels)
        local = 1.0 / (np.count_nonzero(sizes) * sizes[labels])
        far = self._distances(pool)
        whole = float(np.sort(far).sum())
        everywhere = far / whole if whole > 0.0 else np.full(len(pool), 1.0 / len(pool))
        return self.balance * everywhere + (1.0 - self.balance) * local

    def keys(self, pool: Pool) -> Floats:
        """Return the keys of the draw, shape (items,), 0 to 1."""
        chances = self.chances(pool)
        largest = chances.max(initial=0.0)
        drawn = np.array([fraction(keyed_hash("density", pool.seed, sample_id)) for sample_id in pool.ids])
        with np.errstate(divide="ignore"):
            return np.where(chances > 0.0, np.exp(np.log(drawn) * largest / np.maximum(chances, 1e-300)), 0.0)

    def _distances(self, pool: Pool) -> Floats:
        """Return the distance of each item to its k-th nearest in the sample, itself not counted, 0 to 2."""
        sample: Integers = np.sort(hashed_order(pool.ids, "reference", pool.seed)[: self.reference])
        rank = min(self.neighbours, len(sample) - 1)
        if rank < 1:
            return np.ones(len(pool))
        distances = np.zeros(len(pool))
        own = np.full(len(pool), -1, dtype=np.int64)
        own[sample] = np.arange(len(sample))
        for start in range(0, len(pool), _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, len(pool)))
            products = pool.vectors[rows] @ pool.vectors[sample].T
            inside = own[rows] >= 0
            products[np.flatnonzero(inside), own[rows[inside]]] = -np.inf
            cosines = -np.partition(-products, rank - 1, axis=1)[:, rank - 1].astype(np.float64) / SQUARE
            distances[rows] = np.sqrt(np.maximum(2.0 - 2.0 * cosines, 0.0))
        return distances
