"""The index of what was released: a value whose version is the hash of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.selector.candidate import VectorSpace
from services.selector.diversity import LENGTH, Vectors
from services.selector.novelty.signatures import PERMUTATIONS, SignatureIndex, Signatures

_BLOCK = 2_048


class Entry(NamedTuple):
    """One released sample: its embedding as whole numbers (zeros: none) and its signature."""

    id: str
    vector: NDArray[np.int16]
    signature: Signatures


class Known(NamedTuple):
    """The released sample that is most like another one, and how much.

    Attributes
    ----------
    release, id : str
    value : float
        Cosine, or estimated Jaccard similarity.
    """

    release: str
    id: str
    value: float


@dataclass(frozen=True, eq=False)
class NoveltyIndex:
    """Released samples, in order of release and id.

    Attributes
    ----------
    shingle : int
        Tokens of a shingle behind the signatures.
    space : VectorSpace, optional
        Where the embeddings live; None while there are none.
    names : tuple of (str, str)
        Release and sample of each entry.
    vectors : array of int16, shape (entries, dimensions)
    signatures : array of uint32, shape (entries, 112)
    """

    shingle: int = 5
    space: VectorSpace | None = None
    names: tuple[tuple[str, str], ...] = ()
    vectors: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int16))
    signatures: Signatures = field(default_factory=lambda: np.zeros((0, PERMUTATIONS), dtype=np.uint32))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def releases(self) -> list[str]:
        """Return the releases that it knows, in order of their names."""
        return sorted({release for release, _ in self.names})

    @cached_property
    def version(self) -> str:
        """The hash of the content (32 digits): the same releases give the same version, in whatever order they came."""
        content = hashlib.sha256(f"{self.shingle}|{self.space}|{self.names}".encode("utf-8", "surrogatepass"))
        content.update(self.vectors.astype("<i2").tobytes())
        content.update(self.signatures.astype("<u4").tobytes())
        return content.hexdigest()[:32]

    def with_release(self, release_id: str, entries: Sequence[Entry], space: VectorSpace | None) -> NoveltyIndex:
        """Return the index that also knows a release; nothing changes where it knows it already.

        Raises
        ------
        ValueError
            When the embeddings are of another model or size than those of the index: they are never mixed.
        """
        if release_id in self.releases:
            return self
        common = self._common_space(release_id, space)
        dimensions = common.dimensions if common else 0
        merged = dict(zip(self.names, zip(self._padded(dimensions), self.signatures, strict=True), strict=True))
        for entry in entries:
            vector = entry.vector if space else np.zeros(dimensions, dtype=np.int16)
            merged[release_id, entry.id] = (vector, entry.signature)
        return _index_of(self.shingle, common, merged)

    def nearest(self, vectors: Vectors, space: VectorSpace | None) -> list[Known | None]:
        """Return for each vector the released sample with the largest cosine above 0, of equal ones the first.

        Parameters
        ----------
        vectors : array, shape (items, dimensions)
            From `whole_number_vectors`.
        space : VectorSpace, optional

        Raises
        ------
        ValueError
            When the space is another than that of the index.
        """
        if self.space is None or space is None or not len(self):
            return [None] * len(vectors)
        self._common_space("the pool", space)
        found: list[Known | None] = []
        released = self.vectors.astype(np.float32)
        for start in range(0, len(vectors), _BLOCK):
            products = vectors[start : start + _BLOCK] @ released.T
            places = products.argmax(axis=1)
            largest = products[np.arange(len(places)), places]
            found += [
                self._known(place, value / (LENGTH * LENGTH)) if value > 0.0 else None
                for place, value in zip(places.tolist(), largest.tolist(), strict=True)
            ]
        return found

    def compares_with(self, space: VectorSpace | None) -> bool:
        """Return whether embeddings of a space can be compared with those of the index."""
        return self.space is None or space is None or self.space == space

    def most_alike(self, signatures: Signatures) -> list[Known | None]:
        """Return for each signature the released sample with the largest estimated Jaccard similarity, if any meets."""
        entries, shares = self._by_bands.most_alike(signatures)
        return [
            None if entry < 0 else self._known(entry, share)
            for entry, share in zip(entries.tolist(), shares.tolist(), strict=True)
        ]

    def _known(self, entry: int, value: float) -> Known:
        release, sample_id = self.names[entry]
        return Known(release, sample_id, value)

    @cached_property
    def _by_bands(self) -> SignatureIndex:
        return SignatureIndex(self.signatures)

    def _common_space(self, who: str, space: VectorSpace | None) -> VectorSpace | None:
        if self.space is not None and space is not None and space != self.space:
            raise ValueError(
                f"the embeddings of {who} are of {space.model!r} with {space.dimensions} dimensions, those of the "
                f"novelty index of {self.space.model!r} with {self.space.dimensions}; build an index with that model"
            )
        return self.space or space

    def _padded(self, dimensions: int) -> Iterable[NDArray[np.int16]]:
        return self.vectors if self.space else np.zeros((len(self), dimensions), dtype=np.int16)


def _index_of(
    shingle: int,
    space: VectorSpace | None,
    entries: Mapping[tuple[str, str], tuple[NDArray[np.int16], Signatures]],
) -> NoveltyIndex:
    names = tuple(sorted(entries))
    vectors = np.zeros((len(names), space.dimensions if space else 0), dtype=np.int16)
    signatures = np.zeros((len(names), PERMUTATIONS), dtype=np.uint32)
    for place, name in enumerate(names):
        vectors[place], signatures[place] = entries[name]
    return NoveltyIndex(shingle, space, names, vectors, signatures)
