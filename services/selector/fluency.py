"""How fluent a text is: its mean negative log-likelihood under an interpolated word-trigram model.

Witten-Bell interpolation (Witten & Bell 1991): p(w|h) = (c(hw) + T(h) p(w|h')) / (c(h) + T(h)), where T(h) counts the
distinct words seen after h and h' drops the farthest word. It has no parameters to tune and is a proper distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.selector.texts import Corpus, Ragged

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

MAXIMUM_TOKENS = 512
_BITS = 20
_MAXIMUM_VOCABULARY = 2**_BITS - 1
_BLOCK_ROWS = 4_000


def fluency_texts(corpus: Corpus) -> tuple[Ragged, int]:
    """Return the responses as the model reads them, and the size of their vocabulary.

    All numbers are one word, since which number stands in an answer says nothing of how fluent it is. Of a long
    response the first 512 tokens are read. Beyond a million distinct words some share a number.
    """
    is_number = np.array([word[0].isdigit() for word in corpus.vocabulary], dtype=bool)
    recoded = np.cumsum(~is_number)
    recoded[is_number] = 0
    recoded %= _MAXIMUM_VOCABULARY
    rows = [recoded[corpus.responses.row(i)[:MAXIMUM_TOKENS]] for i in range(len(corpus.responses))]
    return Ragged.of(rows), int(recoded.max(initial=0)) + 1


@dataclass(frozen=True, slots=True)
class _Counts:
    """Counts of n-grams and of their contexts, as sorted keys for binary search."""

    keys: Integers
    counts: Integers
    contexts: Integers
    totals: Integers
    types: Integers

    @classmethod
    def of(cls, keys: Integers) -> _Counts:
        unique, counts = np.unique(keys, return_counts=True)
        contexts, first, types = np.unique(unique >> _BITS, return_index=True, return_counts=True)
        totals = np.add.reduceat(counts, first) if len(first) else counts
        return cls(unique, counts, contexts, totals, types)

    def smoothed(self, keys: Integers, lower: Floats) -> Floats:
        """Return the interpolated probability of each n-gram, given that of the shorter one."""
        if not len(self.keys):
            return lower
        # Sorted questions are answered several times faster: their places lie side by side.
        order = np.argsort(keys)
        wanted = keys[order]
        place, found = _places(self.keys, wanted)
        context, seen = _places(self.contexts, wanted >> _BITS)
        counts = np.where(found, self.counts[place], 0)
        totals, types = self.totals[context], self.types[context]
        smoothed = np.empty(len(keys))
        smoothed[order] = np.where(seen, (counts + types * lower[order]) / (totals + types), lower[order])
        return smoothed


def _places(sorted_keys: Integers, wanted: Integers) -> tuple[Integers, NDArray[np.bool_]]:
    place = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    return place, sorted_keys[place] == wanted


def _histories(texts: Ragged, start: int) -> tuple[Integers, Integers]:
    """Return the word before, and the word before that, of each token; `start` before the first."""
    one, two = np.full((2, len(texts.flat)), start, dtype=np.int64)
    one[1:] = texts.flat[:-1]
    two[2:] = texts.flat[:-2]
    lengths = np.diff(texts.offsets)
    first = texts.offsets[:-1][lengths > 0]
    second = texts.offsets[:-1][lengths > 1] + 1
    one[first] = start
    two[first] = start
    two[second] = start
    return one, two


def _keys(texts: Ragged, start: int) -> tuple[Integers, Integers]:
    """Return for each token the keys of its pair and its triple: its number in the lowest bits, those before it above.

    Sorted, the keys of one context lie together.
    """
    one, two = _histories(texts, start)
    pairs = one << _BITS
    pairs |= texts.flat
    two <<= 2 * _BITS
    two |= pairs
    return pairs, two


class TrigramModel:
    """A trigram model of texts.

    Parameters
    ----------
    texts : Ragged
        Token numbers below `vocabulary`.
    vocabulary : int
        Size of the vocabulary, below 2**20: three words make one 64-bit key.
    """

    def __init__(self, texts: Ragged, vocabulary: int) -> None:
        self._vocabulary = vocabulary
        self._words = np.bincount(texts.flat, minlength=vocabulary)
        pairs, triples = _keys(texts, vocabulary)
        self._pairs, self._triples = _Counts.of(pairs), _Counts.of(triples)

    def losses(self, texts: Ragged) -> Floats:
        """Return the mean negative log-likelihood of each text, nats per token; NaN for an empty one."""
        blocks = range(0, len(texts), _BLOCK_ROWS)
        parts = [self._block_losses(texts.take(range(i, min(i + _BLOCK_ROWS, len(texts))))) for i in blocks]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _block_losses(self, texts: Ragged) -> Floats:
        kinds = np.count_nonzero(self._words)
        # One more than the vocabulary, so that even an empty model gives every word a chance.
        words = (self._words[texts.flat] + (kinds + 1) / (self._vocabulary + 1)) / (self._words.sum() + kinds + 1)
        pairs, triples = _keys(texts, self._vocabulary)
        chances = self._triples.smoothed(triples, self._pairs.smoothed(pairs, words))
        sums = np.concatenate(([0.0], np.cumsum(-np.log(chances))))
        lengths = np.diff(texts.offsets)
        totals = sums[texts.offsets[1:]] - sums[texts.offsets[:-1]]
        return np.where(lengths > 0, totals / np.maximum(lengths, 1), np.nan)


def cross_fitted_losses(texts: Ragged, vocabulary: int, folds: Integers, sample: Integers) -> Floats:
    """Return the loss of each text under the model of the other fold, which never saw it.

    Parameters
    ----------
    texts : Ragged
    vocabulary : int
    folds : array of {0, 1}, shape (texts,)
        The fold of each text; texts of one family share it.
    sample : array of int
        The texts whose counts make the models.
    """
    losses = np.full(len(texts), np.nan)
    for fold in (0, 1):
        model = TrigramModel(texts.take(sample[folds[sample] != fold]), vocabulary)
        members = np.flatnonzero(folds == fold)
        losses[members] = model.losses(texts.take(members))
    return losses
