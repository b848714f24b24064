"""MinHash signatures of texts: their share of equal numbers estimates the Jaccard similarity of their shingles."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import rensa
from numpy.typing import NDArray

from services.selector.duplicates import shingles_of
from services.selector.texts import Corpus

Signatures = NDArray[np.uint32]

PERMUTATIONS = 112
SEED = 1


def signatures_of(texts: Iterable[tuple[str, str]], shingle: int) -> Signatures:
    """Return the signatures of (instruction, response) pairs, the same in every process.

    Parameters
    ----------
    texts : iterable of (str, str)
    shingle : int
        Successive tokens in a shingle.

    Returns
    -------
    array of uint32, shape (texts, 112)
        The estimate of a Jaccard similarity J from it has a standard error of sqrt(J (1 - J) / 112), 0.047 at most.
    """
    corpus = Corpus.of(texts)
    if not len(corpus.instructions):
        return np.zeros((0, PERMUTATIONS), dtype=np.uint32)
    shingles = shingles_of(corpus, shingle)
    digests = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        shingles.flat.view(np.uint64), shingles.offsets.astype(np.uint64), PERMUTATIONS, SEED
    )
    return np.array(digests.to_rows(), dtype=np.uint32).reshape(len(shingles), PERMUTATIONS)


class SignatureIndex:
    """Finds among signatures the one that agrees most, by bands (locality-sensitive hashing).

    Parameters
    ----------
    signatures : array, shape (entries, 112)
    rows : int
        Numbers in a band. Two texts of similarity J meet with a probability of 1 - (1 - J^rows)^(112 // rows).
    """

    def __init__(self, signatures: Signatures, rows: int = 4) -> None:
        self._signatures = signatures
        self._rows = rows
        self._bands = [self._sorted(band) for band in range(PERMUTATIONS // rows)]

    def most_alike(self, wanted: Signatures) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return for each signature the entry that agrees most (of equal ones the first; -1 where none meets it).

        The second array is the share of equal numbers, 0 to 1.
        """
        entries = np.full(len(wanted), -1, dtype=np.int64)
        shares = np.zeros(len(wanted))
        for band, (keys, places) in enumerate(self._bands):
            asked = self._keys(wanted, band)
            first = np.searchsorted(keys, asked, side="left")
            last = np.searchsorted(keys, asked, side="right")
            for row in np.flatnonzero(last > first).tolist():
                met = places[first[row] : last[row]]
                agreement = (self._signatures[met] == wanted[row]).mean(axis=1)
                best = int(np.lexsort((met, -agreement))[0])
                better = (agreement[best], -met[best]) > (shares[row], -entries[row] if entries[row] >= 0 else -np.inf)
                if better:
                    entries[row], shares[row] = met[best], agreement[best]
        return entries, shares

    def _keys(self, signatures: Signatures, band: int) -> NDArray[np.void]:
        columns = np.ascontiguousarray(signatures[:, band * self._rows : (band + 1) * self._rows])
        return columns.astype(">u4").view(f"V{4 * self._rows}").reshape(-1)

    def _sorted(self, band: int) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        keys = self._keys(self._signatures, band)
        order = np.argsort(keys, kind="stable")
        return keys[order], order
