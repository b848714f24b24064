"""A bounded, order-free and duplicate-free sample of (instruction, response) pairs."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a model is trained on.

    Attributes
    ----------
    pairs : tuple of (str, str)
        Distinct (instruction, response) pairs, ordered by digest.
    digest : str
        Hash of the set of pairs, hexadecimal.
    """

    pairs: tuple[tuple[str, str], ...]
    digest: str


def pair_digest(instruction: str, response: str) -> bytes:
    """Return a 16-byte hash of the pair; a lone surrogate is hashed as it is."""
    state = hashlib.blake2b(digest_size=16)
    for text in (instruction, response):
        data = text.encode("utf-8", "surrogatepass")
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.digest()


def sample_corpus(texts: Iterable[tuple[str, str]], limit: int) -> Corpus:
    """Return a uniform sample of the distinct pairs of `texts`: the `limit` ones with the smallest digests.

    Order and repeats change nothing; memory is bounded by `limit` pairs.
    """
    kept: dict[bytes, tuple[str, str]] = {}
    largest_first: list[int] = []
    for instruction, response in texts:
        digest = pair_digest(instruction, response)
        if digest in kept or (len(kept) == limit and int.from_bytes(digest, "big") > -largest_first[0]):
            continue
        kept[digest] = (instruction, response)
        heapq.heappush(largest_first, -int.from_bytes(digest, "big"))
        if len(kept) > limit:
            del kept[(-heapq.heappop(largest_first)).to_bytes(16, "big")]
    ordered = sorted(kept)
    return Corpus(tuple(kept[digest] for digest in ordered), hashlib.blake2b(b"".join(ordered)).hexdigest()[:64])
