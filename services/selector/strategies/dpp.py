"""Determinantal point process: sets whose items are good and span a large volume."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from services.selector.strategies.cells import choose_in_cells
from services.selector.strategies.interface import (
    SQUARE,
    Choice,
    Floats,
    Openings,
    Parameters,
    Pick,
    Pool,
    fill_by_score,
    left_behind,
)

_NEGLIGIBLE = 1e-10


class DeterminantalPointProcess(Parameters):
    """Greedy maximum of log det L_S for L = diag(q) K diag(q), by incremental Cholesky (Chen et al. 2018).

    K(i, j) = exp((cosine(i, j) - 1) / bandwidth) has full rank, so that more can be chosen than there are dimensions;
    q = exp(relevance / (2 (1 - relevance)) * score), as in the paper. `gain` is what log det L_S grew by. When no item
    adds volume any more, the best scores fill up.

    Attributes
    ----------
    relevance : float
        Weight of the scores against diversity, 0 to 0.998; nearer to 1 the volumes overflow.
    bandwidth : float
        Cosine distance over which similarity falls to 1/e, at least 0.001.
    """

    name: ClassVar[str] = "dpp"

    relevance: Annotated[float, Field(ge=0.0, le=0.998)] = 0.5
    bandwidth: Annotated[float, Field(ge=0.001)] = 0.5

    def choose(self, pool: Pool) -> Choice:
        """Choose; a pool of more than 4,096 items is divided into cells. Cost O(items x target^2)."""
        return choose_in_cells(pool, self._choose)

    def quality(self, pool: Pool) -> Floats:
        """Return q, shape (items,)."""
        return np.exp(self.relevance / (2.0 * (1.0 - self.relevance)) * pool.scores)

    def _kernel_row(self, pool: Pool, quality: Floats, index: int) -> Floats:
        cosines = (pool.vectors @ pool.vectors[index]).astype(np.float64) / SQUARE
        row: Floats = quality * quality[index] * np.exp((cosines - 1.0) / self.bandwidth)
        row[index] = quality[index] ** 2
        return row

    def _choose(self, pool: Pool) -> Choice:
        quality = self.quality(pool)
        openings = Openings(pool)
        volumes = np.square(quality)
        factor = np.zeros((openings.total, len(pool)))
        picks: list[Pick] = []
        while openings.total:
            open_volumes = np.where(openings.open, volumes, -np.inf)
            index = int(open_volumes.argmax())
            if open_volumes[index] < _NEGLIGIBLE:
                break
            size = len(picks)
            # einsum adds in one order, whatever the number of threads; a BLAS need not.
            shared = np.einsum("k,kn->n", factor[:size, index], factor[:size], optimize=False)
            factor[size] = (self._kernel_row(pool, quality, index) - shared) / math.sqrt(volumes[index])
            picks.append(Pick(index, math.log(volumes[index])))
            openings.take(index)
            volumes = np.maximum(volumes - np.square(factor[size]), 0.0)
        values = np.log(np.maximum(volumes, _NEGLIGIBLE))
        fill_by_score(pool, openings, picks)
        return Choice(picks, left_behind(pool, picks, values))
