"""For the explanation of a choice: which of the chosen is most like an item."""

from __future__ import annotations

import numpy as np

from services.selector.diversity import Vectors
from services.selector.strategies.interface import SQUARE, Floats, Integers

_BLOCK = 1_024
NOBODY = -1


def nearest_before(vectors: Vectors, chosen: Integers) -> tuple[Integers, Floats]:
    """Return for each chosen item the most similar one chosen before it, and their cosine.

    Returns
    -------
    nearest : array of int, shape (chosen,)
        -1 where none is similar at all (no cosine above 0); of equal ones the first chosen.
    cosines : array of float, shape (chosen,)
        At least 0.
    """
    return _nearest(vectors[chosen], vectors[chosen], chosen, before=True)


def nearest_chosen(vectors: Vectors, items: Integers, chosen: Integers) -> tuple[Integers, Floats]:
    """Return for each item the most similar chosen one, and their cosine, as above."""
    return _nearest(vectors[items], vectors[chosen], chosen, before=False)


def _nearest(rows: Vectors, columns: Vectors, names: Integers, *, before: bool) -> tuple[Integers, Floats]:
    nearest = np.full(len(rows), NOBODY, dtype=np.int64)
    cosines = np.zeros(len(rows))
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(rows)))
        products = rows[block] @ columns.T
        if before:
            products[np.arange(products.shape[1])[None, :] >= np.arange(block.start, block.stop)[:, None]] = 0.0
        if not products.size:
            continue
        places = products.argmax(axis=1)
        largest = products[np.arange(len(places)), places]
        nearest[block] = np.where(largest > 0.0, names[places], NOBODY)
        cosines[block] = np.maximum(largest, 0.0) / SQUARE
    return nearest, cosines
