"""Forward passes of fixed shape, so that one text gets the same bits in any order, company and batch size.

A matrix product may choose another kernel for another shape, and then differs in the last digits. Here the shape of
the pass that a sequence takes part in is a function of its own length: lengths are rounded up to a bucket, every
bucket has its number of rows, and rows that no sequence needs are filler. Each row of a product of one shape is
computed alike wherever it stands, which tests/unit/models/test_invariance.py holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class BatchShape:
    """The shapes in which sequences of token ids are computed.

    Attributes
    ----------
    rows : int
        Most sequences of one pass, at least 1.
    bucket : int
        Widths are multiples of this many tokens, at least 1.
    tokens : int
        Bound of rows times width; wide buckets have fewer rows (never less than one), so memory stays bounded.
    """

    rows: int = 8
    bucket: int = 32
    tokens: int = 1024

    def width(self, length: int) -> int:
        """Return the width, in tokens, of the pass for a sequence of `length` tokens."""
        return max(1, -(-length // self.bucket)) * self.bucket

    def height(self, width: int) -> int:
        """Return the number of rows of a pass that is `width` tokens wide."""
        return max(1, min(self.rows, self.tokens // width))


@dataclass(frozen=True, slots=True)
class FixedBatch:
    """One pass: which sequences stand in its first rows, and its padded input.

    Attributes
    ----------
    members : tuple of int
        Indices into the list of sequences, one for each row that is no filler.
    ids : Tensor
        Token ids, int64, shape (height, width), padded on the right.
    mask : Tensor
        1 where `ids` holds a token of a sequence, int64, same shape. A filler row has one token, so that no
        attention row is empty.
    """

    members: tuple[int, ...]
    ids: Tensor
    mask: Tensor


def fixed_batches(sequences: Sequence[Sequence[int]], shape: BatchShape, pad: int) -> Iterator[FixedBatch]:
    """Yield passes that cover every sequence exactly once, narrow ones first.

    Parameters
    ----------
    sequences : sequence of sequence of int
        Token ids; may be empty sequences.
    shape : BatchShape
        The shapes to use.
    pad : int
        Token id for padding and filler.
    """
    by_width: dict[int, list[int]] = {}
    for index, sequence in enumerate(sequences):
        by_width.setdefault(shape.width(len(sequence)), []).append(index)
    for width in sorted(by_width):
        members, height = by_width[width], shape.height(width)
        for start in range(0, len(members), height):
            chosen = tuple(members[start : start + height])
            yield _padded(chosen, [sequences[index] for index in chosen], height, width, pad)


def _padded(members: tuple[int, ...], rows: list[Sequence[int]], height: int, width: int, pad: int) -> FixedBatch:
    ids = torch.full((height, width), pad, dtype=torch.long)
    mask = torch.zeros((height, width), dtype=torch.long)
    mask[:, 0] = 1
    for row, sequence in enumerate(rows):
        ids[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
        mask[row, : len(sequence)] = 1
    return FixedBatch(members, ids, mask)
