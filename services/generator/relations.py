"""Relations between the numbers of a question, which other numbers must keep: parts that add up to a stated whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from math import prod

_MOST_PARTS = 4
_MOST_NUMBERS = 12


@dataclass(frozen=True, slots=True)
class Relation:
    """The sum, or the product, of the numbers at `parts` is the number at `whole`; places count in one sequence."""

    parts: tuple[int, ...]
    whole: int
    multiplies: bool

    def holds(self, values: Sequence[Fraction]) -> bool:
        """Tell whether it holds for these numbers."""
        chosen = [values[part] for part in self.parts]
        return (prod(chosen) if self.multiplies else sum(chosen)) == values[self.whole]


def relations(values: Sequence[Fraction]) -> list[Relation] | None:
    """Return every sum of two to four, and every product of two, that is itself among the numbers.

    `90 pupils, 54 girls, 36 boys` states one fact twice: numbers drawn independently would contradict each other. Some
    relations are mere chance; keeping these too only makes a draw rarer. None where there are more than 12 numbers.
    """
    if len(values) > _MOST_NUMBERS:
        return None
    places = range(len(values))
    candidates = [
        Relation(parts, whole, multiplies)
        for size in range(2, _MOST_PARTS + 1)
        for parts in combinations(places, size)
        for whole in places
        for multiplies in ((False, True) if size == 2 else (False,))
        if whole not in parts
    ]
    return [candidate for candidate in candidates if candidate.holds(values)]
