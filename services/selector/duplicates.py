"""Duplicates: of those that say the same only the best stays, whatever order they came in.

Exact: the same fingerprint. Near: MinHash-LSH (Broder 1997) proposes pairs, the exact Jaccard similarity of their
shingle sets decides. Samples are visited from the best down (score, then id); one is dropped when it is similar to one
that was kept. So a chain a ~ b ~ c with a and c unlike keeps the best and what is unlike it.

Digits are kept: two worked problems that differ in their numbers share only the shingles between the numbers and stay
apart unless those are most of the text. A generated child and its parent are compared like any other two: a child that
close to its parent adds nothing to a small set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
import rensa
from numpy.typing import NDArray

from services.selector.texts import Corpus, Ragged

_PERMUTATIONS = 112
_SEED = 1
_WANTED_RECALL = 0.97
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_CACHED_SETS = 8_192


class Duplicate(NamedTuple):
    """A sample that is dropped for one that is kept, and their similarity."""

    dropped: int
    kept: int
    similarity: float


def exact_duplicates(order: Sequence[int], fingerprints: Sequence[bytes]) -> Iterator[Duplicate]:
    """Yield the samples whose fingerprint a better one has.

    Parameters
    ----------
    order : sequence of int
        Samples from the best down.
    fingerprints : sequence of bytes
        Of every sample.
    """
    kept: dict[bytes, int] = {}
    for index in order:
        first = kept.setdefault(fingerprints[index], index)
        if first != index:
            yield Duplicate(index, first, 1.0)


def near_duplicates(order: Sequence[int], shingles: Ragged, threshold: float) -> Iterator[Duplicate]:
    """Yield the samples whose Jaccard similarity to a better, kept one reaches `threshold`.

    Of several such the best is named. A pair at the threshold is found with a probability of 0.97 or more, a more
    similar one with a higher one.
    """
    buckets = _shared_buckets(shingles, _rows_per_band(threshold))
    kept_in: dict[int, list[int]] = {}

    @lru_cache(maxsize=_CACHED_SETS)
    def members(index: int) -> NDArray[np.int64]:
        return np.unique(shingles.row(index))

    place = {index: position for position, index in enumerate(order)}
    for index in order:
        mine = buckets.get(index)
        if mine is None:
            continue
        nearby = sorted({other for key in mine for other in kept_in.get(key, ())}, key=place.__getitem__)
        found = next(
            (
                Duplicate(index, other, similarity)
                for other in nearby
                if (similarity := _jaccard(members(index), members(other))) >= threshold
            ),
            None,
        )
        if found is not None:
            yield found
            continue
        for key in mine:
            kept_in.setdefault(key, []).append(index)


def shingles_of(corpus: Corpus, length: int) -> Ragged:
    """Return the shingles of each pair, as 64-bit hashes of `length` successive tokens.

    Instruction and response run on. A text shorter than `length` is one shingle, so short texts are compared whole.
    """
    sides = (corpus.instructions, corpus.responses)
    rows = [side.row(index) for index in range(len(sides[0])) for side in sides]
    tokens = corpus.token_hashes()[np.concatenate(rows)] if rows else np.zeros(0, dtype=np.uint64)
    offsets = sides[0].offsets + sides[1].offsets
    lengths = np.diff(offsets)
    shingled = np.zeros(len(offsets), dtype=np.int64)
    np.cumsum(np.maximum(lengths - length + 1, 1), out=shingled[1:])
    short = lengths < length
    flat = np.zeros(shingled[-1], dtype=np.int64)
    of_long = np.ones(len(flat), dtype=bool)
    of_long[shingled[:-1][short]] = False
    flat[of_long] = _rolled(tokens, length)[_within_rows(offsets, length)]
    for row in np.flatnonzero(short).tolist():
        flat[shingled[row]] = _whole(tokens[offsets[row] : offsets[row + 1]], length)[0]
    return Ragged(flat, shingled)


def _within_rows(offsets: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    """Return for each position whether the `length` tokens from there on lie in one row."""
    within = np.ones(max(0, int(offsets[-1]) - length + 1), dtype=bool)
    for before in range(1, length):
        across = offsets[1:] - before
        within[across[(across >= offsets[:-1]) & (across < len(within))]] = False
    return within


def _rolled(tokens: NDArray[np.uint64], length: int) -> NDArray[np.int64]:
    """Return the hash of the `length` tokens from each position on."""
    positions = max(0, len(tokens) - length + 1)
    state = np.zeros(positions, dtype=np.uint64)
    for step in range(length):
        state += tokens[step : step + positions]
        _mix(state)
    return state.view(np.int64)


def _whole(tokens: NDArray[np.uint64], length: int) -> NDArray[np.int64]:
    padded = np.zeros(length, dtype=np.uint64)
    padded[: len(tokens)] = tokens
    return _rolled(padded, length)


def _mix(state: NDArray[np.uint64]) -> None:
    """Advance hashes in place: new arrays would cost more in page faults than the arithmetic."""
    state += _STEP
    shifted = state >> np.uint64(30)
    state ^= shifted
    state *= _MIX
    np.right_shift(state, np.uint64(27), out=shifted)
    state ^= shifted


def _rows_per_band(threshold: float) -> int:
    """Return the most rows per band, so the fewest false candidates, with which the threshold is still found."""
    fitting = (
        rows for rows in range(16, 1, -1) if 1.0 - (1.0 - threshold**rows) ** (_PERMUTATIONS // rows) >= _WANTED_RECALL
    )
    return next(fitting, 1)


def _shared_buckets(shingles: Ragged, rows: int) -> dict[int, list[int]]:
    """Return for each sample the numbers of its buckets, one bucket for each band, less those where it is alone."""
    digests = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        shingles.flat.view(np.uint64), shingles.offsets.astype(np.uint64), _PERMUTATIONS, _SEED
    )
    values = chain.from_iterable(digests.to_rows())
    matrix = np.fromiter(values, dtype=np.uint64, count=len(shingles) * _PERMUTATIONS).reshape(-1, _PERMUTATIONS).T
    found: dict[int, list[int]] = {}
    for band in range(_PERMUTATIONS // rows):
        state = np.zeros(len(shingles), dtype=np.uint64)
        # Where two bands share a hash by chance, the exact similarity tells them apart.
        for row in matrix[band * rows : (band + 1) * rows]:
            state += row
            _mix(state)
        _, inverse, counts = np.unique(state, return_inverse=True, return_counts=True)
        shared = np.flatnonzero(counts[inverse] > 1)
        numbers = inverse[shared] + band * len(shingles)
        for index, number in zip(shared.tolist(), numbers.tolist(), strict=True):
            found.setdefault(index, []).append(number)
    return found


def _jaccard(left: NDArray[np.int64], right: NDArray[np.int64]) -> float:
    shared = len(np.intersect1d(left, right, assume_unique=True))
    return shared / (len(left) + len(right) - shared)
