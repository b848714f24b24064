"""k-means on directions, exact: the same clusters on any BLAS, in any order of the items.

Vectors and centroids have whole-number components, so products are exact; sums of whole numbers are exact in float64.
The first centroids are the items with the smallest hashes of their ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from services.selector.diversity import LENGTH, Vectors
from services.selector.keys import keyed_hash
from services.selector.strategies.interface import Integers, Pool

_BLOCK = 4_096
_ROUNDS = 12


def cluster(pool: Pool, count: int, rounds: int = _ROUNDS) -> tuple[Integers, Vectors]:
    """Divide a pool into clusters of alike direction (spherical k-means, Dhillon & Modha 2001).

    Parameters
    ----------
    pool : Pool
    count : int
        Clusters wanted; there may be fewer.
    rounds : int
        At most so many; it ends earlier when nothing moves.

    Returns
    -------
    labels : array of int, shape (items,)
    centroids : array of float32, shape (count, dimensions)
    """
    centroids = pool.vectors[hashed_order(pool.ids, "centroids", pool.seed)[: max(1, count)]]
    labels = nearest_centroid(pool.vectors, centroids)
    for _ in range(rounds):
        centroids = _means(pool.vectors, labels, centroids)
        moved = nearest_centroid(pool.vectors, centroids)
        if np.array_equal(moved, labels):
            break
        labels = moved
    return labels, centroids


def hashed_order(ids: Sequence[str], purpose: str, seed: int) -> Integers:
    """Return places in order of the keyed hashes of their ids: a random order that is a function of the ids."""
    keys = [keyed_hash(purpose, seed, sample_id) for sample_id in ids]
    return np.array(sorted(range(len(ids)), key=keys.__getitem__), dtype=np.int64)


def nearest_centroid(vectors: Vectors, centroids: Vectors) -> Integers:
    """Return the centroid with the largest product for each vector, of equal ones the first."""
    labels = np.zeros(len(vectors), dtype=np.int64)
    for rows in _blocks(len(vectors)):
        labels[rows] = (vectors[rows] @ centroids.T).argmax(axis=1)
    return labels


def members_of(labels: Integers) -> Iterator[Integers]:
    """Yield the members of each cluster, ascending, clusters in order of their numbers."""
    order = np.argsort(labels, kind="stable")
    if len(order):
        yield from np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _means(vectors: Vectors, labels: Integers, centroids: Vectors) -> Vectors:
    sums = np.zeros(centroids.shape, dtype=np.float64)
    for rows in _blocks(len(vectors)):
        order = np.argsort(labels[rows], kind="stable")
        found = labels[rows][order]
        starts = np.flatnonzero(np.diff(found, prepend=-1))
        sums[found[starts]] += np.add.reduceat(vectors[rows][order].astype(np.float64), starts, axis=0)
    norms = np.sqrt(np.square(sums).sum(axis=1))
    scaled = np.rint(sums * (LENGTH / np.maximum(norms, 1.0))[:, None]).astype(np.float32)
    # A cluster that lost its members, or whose members cancel out, stays where it was.
    return np.where((norms > 0.0)[:, None], scaled, centroids)


def _blocks(size: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, size, _BLOCK))
