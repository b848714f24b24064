"""What a row of the lake is before it is written, and the prose tools its makers share."""

import random
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from examples.demo_lake.similarity import jaccard, shingles

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_MOST_ALIKE = 0.55
_TRIES = 40
_COMPARED_WITH = 256


@dataclass(frozen=True)
class Row:
    """One instruction and its answer, with what is known to be true of it.

    Attributes
    ----------
    template
        Which template made it; rows of one template are kept apart in wording.
    language
        ``en`` or ``zh``.
    reference
        The right final answer; empty where none is known.
    tests
        Python asserts that the answer's code passes (domain code).
    entry_point
        The function that the tests call (domain code).
    schema
        SQL statements that create and fill the tables (domain sql).
    """

    template: str
    language: str
    instruction: str
    response: str
    reference: str = ""
    tests: tuple[str, ...] = ()
    entry_point: str = ""
    schema: str = ""


RowMaker = Callable[[random.Random], Row]


def spin(text: str, random_source: random.Random) -> str:
    """Choose one of the wordings in every ``[this|that]``, innermost first."""
    while "[" in text:
        text = _CHOICE.sub(lambda match: random_source.choice(match.group(1).split("|")), text)
    return text


def one_of(makers: Sequence[RowMaker]) -> RowMaker:
    """Return a maker that hands each row to one of several makers, drawn evenly."""
    return lambda random_source: random_source.choice(makers)(random_source)


class NovelRows:
    """Draws rows and refuses those that are close to an earlier row of the same template.

    Closeness is the Jaccard similarity of 5-word shingles, of the instruction alone and of the whole row. After
    `_TRIES` draws the last one is taken, so a lake far larger than the templates allow holds near duplicates.
    """

    def __init__(self, maker: RowMaker, random_source: random.Random) -> None:
        self._maker = maker
        self._random = random_source
        self._seen: dict[str, deque[tuple[frozenset[str], frozenset[str]]]] = {}

    def draw(self, count: int) -> list[Row]:
        """Return `count` rows, each unlike the earlier ones."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Row:
        for _ in range(_TRIES):
            row = self._maker(self._random)
            asked = shingles(row.instruction)
            whole = asked | shingles(row.response)
            seen = self._seen.setdefault(row.template, deque(maxlen=_COMPARED_WITH))
            if all(jaccard(asked, a) <= _MOST_ALIKE and jaccard(whole, w) <= _MOST_ALIKE for a, w in seen):
                break
        seen.append((asked, whole))
        return row
