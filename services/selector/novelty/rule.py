"""The rule: what is too like a released sample is refused."""

from __future__ import annotations

from typing import NamedTuple

from services.selector.candidate import VectorSpace
from services.selector.diversity import Vectors
from services.selector.novelty.index import Known, NoveltyIndex
from services.selector.novelty.signatures import Signatures


class Repeat(NamedTuple):
    """Why an item is nothing new.

    Attributes
    ----------
    measure : {"jaccard", "cosine"}
        What reached, or exceeded, the bound.
    """

    measure: str
    known: Known
    bound: float


def repeats(
    index: NoveltyIndex,
    vectors: Vectors,
    space: VectorSpace | None,
    signatures: Signatures,
    *,
    max_cosine: float,
    max_jaccard: float,
) -> dict[int, Repeat]:
    """Return the items that repeat a released one, texts first: Jaccard at the bound or more, cosine above it.

    Raises
    ------
    ValueError
        When the embeddings are of another space than those of the index.
    """
    found: dict[int, Repeat] = {}
    alike = index.most_alike(signatures)
    near = index.nearest(vectors, space)
    for item, (text, vector) in enumerate(zip(alike, near, strict=True)):
        if text is not None and text.value >= max_jaccard:
            found[item] = Repeat("jaccard", text, max_jaccard)
        elif vector is not None and vector.value > max_cosine:
            found[item] = Repeat("cosine", vector, max_cosine)
    return found
