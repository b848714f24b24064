"""Whether two results say the same, up to the order of rows and of columns where the question leaves it open."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

Rows = Sequence[Sequence[Any]]
_MOST_TRIES = 5000
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|--[^\n]*|/\*(?>.*?(?:\*/|\Z))", re.DOTALL)
_WORD = re.compile(r"[()]|[A-Za-z_]+")


def is_ordered(query: str) -> bool:
    """Tell whether a query orders its result: an ORDER BY outside every bracket."""
    depth, before = 0, ""
    for word in _WORD.findall(_QUOTED.sub(" ", query)):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth == 0 and word.upper() == "BY" and before.upper() == "ORDER":
            return True
        before = word
    return False


def same_rows(found: Rows, expected: Rows, *, ordered: bool, column_order: bool = False) -> bool | None:
    """Compare two results.

    Parameters
    ----------
    found, expected : sequence of rows
    ordered : bool
        Whether the order of rows matters.
    column_order : bool
        Whether the order of columns matters.

    Returns
    -------
    bool or None
        None where too many orders of columns would have to be tried.
    """
    one, two = [_row(row) for row in found], [_row(row) for row in expected]
    if len(one) != len(two) or (one and len(one[0]) != len(two[0])):
        return False
    if not one:
        return True
    width = len(one[0])
    orders = iter([tuple(range(width))]) if column_order else _orders(one, two)
    wanted = Counter(two)
    for tries, order in enumerate(orders):
        if tries >= _MOST_TRIES:
            return None
        turned = [tuple(row[place] for place in order) for row in one]
        if (turned == two) if ordered else (Counter(turned) == wanted):
            return True
    return False


def _row(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(_cell(each) for each in row)


def _cell(value: Any) -> Any:
    # Sums of floats depend on the order of their parts; 3 and 3.0 are one number. Whole numbers (keys) are exact.
    return float(f"{value:.12g}") if isinstance(value, float) else value


def _orders(one: list[tuple[Any, ...]], two: list[tuple[Any, ...]]) -> Iterator[tuple[int, ...]]:
    """Yield the orders of `one`'s columns in which each has the values of its partner in `two`."""
    values = [Counter(column) for column in zip(*one, strict=True)]
    fits = [
        [place for place, each in enumerate(values) if each == Counter(column)] for column in zip(*two, strict=True)
    ]

    def chosen(taken: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(taken) == len(fits):
            yield taken
            return
        for place in fits[len(taken)]:
            if place not in taken:
                yield from chosen((*taken, place))

    return chosen(())
