"""A large pool in cells: strategies that need all pairs of similarities get pools small enough for them.

Cells are clusters of alike items, so what a cell does not see of the others is what is unlike it anyway. Each gets its
part of every stratum's quota. This is the partition of GreeDi (Mirzasoleiman et al. 2013) without its second round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from services.selector.quotas import apportion
from services.selector.strategies.clusters import cluster, hashed_order, members_of
from services.selector.strategies.interface import NO_QUOTA, Choice, Integers, Left, Pick, Pool

NO_QUOTA_IN_CELL = "no_quota_in_its_cell"

CELL = 4_096
"""Items per cell: 64 MiB of float32 similarities."""


def choose_in_cells(pool: Pool, choose: Callable[[Pool], Choice], limit: int = CELL) -> Choice:
    """Choose at once from a pool of up to `limit` items, from each cell of a larger one.

    The ranks of a larger one take turns through the cells, in the order of the picks' gains.
    """
    if len(pool) <= limit:
        return choose(pool)
    cells = list(_cells(pool, np.arange(len(pool)), limit))
    quotas = _divided(pool, cells)
    whole = Choice()
    for members, quota in zip(cells, quotas, strict=True):
        choice = choose(pool.part(members, quota))
        whole.picks += [Pick(int(members[pick.index]), pick.gain, pick.filled) for pick in choice.picks]
        for index, left in choice.left.items():
            place = int(members[index])
            whole.left[place] = _moved(left, members, int(pool.quotas[pool.strata[place]]))
    whole.picks.sort(key=lambda pick: (pick.filled, -pick.gain, pick.index))
    return whole


def _cells(pool: Pool, members: Integers, limit: int) -> Iterator[Integers]:
    if len(members) <= limit:
        yield members
        return
    part = pool.part(members, np.zeros_like(pool.quotas))
    labels, _ = cluster(part, 2 * -(-len(members) // limit))
    found = list(members_of(labels))
    if len(found) == 1:
        # All alike: any division is as good as another.
        order = hashed_order(part.ids, "cells", pool.seed)
        found = [np.sort(order[start : start + limit]) for start in range(0, len(order), limit)]
    for places in found:
        yield from _cells(pool, members[places], limit)


def _divided(pool: Pool, cells: list[Integers]) -> Integers:
    """Return each stratum's quota divided over the cells by their shares of it, shape (cells, strata)."""
    counts = np.array([np.bincount(pool.strata[members], minlength=len(pool.quotas)) for members in cells])
    quotas = np.zeros_like(counts)
    for stratum, quota in enumerate(pool.quotas.tolist()):
        available = {f"{cell:08d}": int(count) for cell, count in enumerate(counts[:, stratum])}
        given = apportion(quota, available, available)
        quotas[:, stratum] = [given[name] for name in sorted(given)]
    return quotas


def _moved(left: Left, members: Integers, quota: int) -> Left:
    """Return why an item was left, as seen in the whole pool, where its stratum has this quota."""
    nearest = None if left.nearest is None else int(members[left.nearest])
    reason = NO_QUOTA_IN_CELL if left.reason == NO_QUOTA and quota else left.reason
    return Left(reason, left.value, left.bound, nearest)
