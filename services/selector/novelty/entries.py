"""From released samples to the entries of a novelty index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.selector.candidate import Candidate, VectorSpace
from services.selector.diversity import whole_number_vectors
from services.selector.novelty.index import Entry
from services.selector.novelty.signatures import signatures_of


def entries_of(candidates: Sequence[Candidate], shingle: int) -> tuple[list[Entry], VectorSpace | None]:
    """Return the entries of one release, and the space of its embeddings (None where it has none).

    Raises
    ------
    ValueError
        When its embeddings are of more than one model or size.
    """
    spaces = sorted({it.space for it in candidates if it.space is not None}, key=str)
    if len(spaces) > 1:
        raise ValueError(f"the embeddings of a release are of several spaces: {', '.join(map(str, spaces))}")
    space = spaces[0] if spaces else None
    vectors = whole_number_vectors([it.vector for it in candidates], space.dimensions if space else 0)
    signatures = signatures_of([(it.instruction, it.response) for it in candidates], shingle)
    return [
        Entry(it.id, vector.astype(np.int16), signature)
        for it, vector, signature in zip(candidates, vectors, signatures, strict=True)
    ], space
