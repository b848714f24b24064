"""The shape of an answer: a number, words, a formula, or a set, list, tuple, interval or matrix of such."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from services.verifier.answer.moments import Clock, Date, Moment, Ratio, read_moment, same_moment
from services.verifier.answer.notation import outside_brackets, tidied
from services.verifier.answer.number import Number, read_compound, read_number, same_number
from services.verifier.answer.words import NO_SOLUTION, Words, content_of, read_words, same_words

LONGEST = 2000
_MOST_ITEMS = 64
_DEEPEST = 40
_MATRIX = re.compile(r"\\begin\{([pbvVB]?)(?:small)?matrix\}(.*)\\end\{\1(?:small)?matrix\}", re.DOTALL)
_SEPARATOR = re.compile(r"[,;、]|\s(?:or|and)\s|或者?|[和及]|\\quad")
_NAME = re.compile(
    r"\s*([A-Za-z](?:_\{?\w{1,3}\}?)?|[A-Za-z]\(\s*[a-z]\s*\)|[A-Za-z]{2,16}|[\u4e00-\u9fff]{1,8})\s*=(?!=)"
)
_RELATION = re.compile(r"[<>=]|\\(?:le|ge|ne|lt|gt|in|approx|equiv|cup|cap|setminus|mathbb|emptyset|infty)(?![A-Za-z])")
_COMMA = re.compile(r"[,;]")
_PAIRED = {"(": ")", "[": "]", "{": "}"}

Shape = Literal["set", "list", "matrix", "row", "union", "()", "[]", "[)", "(]"]
Algebra = Callable[[str, str], bool | None]


@dataclass(frozen=True, slots=True)
class Infinite:
    """Plus or minus infinity."""

    sign: int


@dataclass(frozen=True, slots=True)
class Formula:
    """What takes algebra."""

    text: str


@dataclass(frozen=True, slots=True)
class Collection:
    """Several answers; `shape` says whether their order counts and which ends belong to an interval."""

    shape: Shape
    items: tuple[Answer, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Named:
    """An answer with the name that it was given, as in `x = 5`."""

    name: str
    answer: Answer
    text: str


Plain = Number | Clock | Ratio | Date | Infinite | Words | Formula | Collection
Answer = Plain | Named


def compare(gold: str, found: str, algebra: Algebra) -> bool | None:
    """Tell whether two answers say the same.

    Parameters
    ----------
    algebra : callable
        Decides on two formulas in LaTeX; None where it cannot.

    Returns
    -------
    bool or None
        None where it is not certain, which must never be taken for a yes.
    """
    if max(len(gold), len(found)) > LONGEST:
        return True if gold == found else None
    left, right = tidied(gold), tidied(found)
    if max(map(_depth, (left, right))) > _DEEPEST:
        return True if left == right else None
    if not left or not right:
        return None
    if left == right:
        return True
    return _agree(read(left), read(right), algebra)


def _depth(text: str) -> int:
    depth = deepest = 0
    for sign in text:
        depth += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, depth)
    return deepest


def read(text: str) -> Answer:
    """Return what a tidied text says; a formula where it is nothing else."""
    if (value := _plain(text) or read_compound(text)) is not None:
        return value
    if (collection := _collection(text)) is not None:
        return collection
    if (name := _NAME.match(text)) is not None and not _RELATION.search(text, name.end()):
        return Named(re.sub(r"[\s{}]", "", name[1]), read(text[name.end() :].strip()), text)
    bare = _without_brackets(text)
    if bare is not None:
        return read(bare)
    return read_words(text) or Formula(text)


def _plain(text: str) -> Number | Moment | Infinite | None:
    if match := re.fullmatch(r"([-+]?)\s*\\infty", text):
        return Infinite(-1 if match[1] == "-" else 1)
    return read_moment(text) or read_number(text)


def _collection(text: str) -> Collection | None:
    if text == "\\emptyset":
        return Collection("set", (), text)
    if (matrix := _MATRIX.fullmatch(text)) is not None:
        return None if matrix[1] in {"v", "V"} or "\\begin" in matrix[2] else _matrix(matrix[2], text)
    shown = outside_brackets(text)
    if "\\cup" in shown and not re.search(r"\\(?:cap|setminus)|[<>=]", shown):
        return _items("union", _split(text, shown, re.compile(r"\\cup")), text)
    if _SEPARATOR.search(shown):
        parts = _split(text, shown, _SEPARATOR)
        return _items("list", [part for part in parts if part.strip()], text) if len(parts) > 1 else None
    if shown.count("\\pm") == 1 and "\\mp" not in shown and not _RELATION.search(shown.partition("\\pm")[2]):
        return _items("list", _signs(text, shown.index("\\pm")), text)
    return _bracketed(text, shown)


def _signs(text: str, at: int) -> list[str]:
    before, after = text[:at].strip(), text[at + 3 :].strip()
    name = _NAME.match(before)
    start = before[name.end() :].strip() if name else before
    return [f"{start} + {after}" if start else after, f"{start} - {after}" if start else f"-{after}"]


def _bracketed(text: str, shown: str) -> Collection | None:
    opening, closing = text[:1], text[-1:]
    if text.startswith("\\{") and text.endswith("\\}"):
        return _set(text[2:-2], text) if _matched(text[1:-2] + "}") else None
    whole = opening in _PAIRED and closing in ")]}" and set(shown[1:-1]) <= {"\0"}
    if not whole or (opening == "{") != (closing == "}"):
        return None
    inside = text[1:-1]
    parts = _split(inside, outside_brackets(inside), _COMMA)
    if len(parts) < 2:
        return None
    return _set(inside, text) if opening == "{" else _items(_SHAPES[opening + closing], parts, text)


_SHAPES: dict[str, Shape] = {"()": "()", "[]": "[]", "[)": "[)", "(]": "(]"}


def _set(inside: str, text: str) -> Collection | None:
    if not inside.strip():
        return Collection("set", (), text)
    # {x : x > 0} and {x | x > 0} are described, not listed.
    return (
        None
        if re.search(r":|\||\\mid", inside)
        else _items("set", _split(inside, outside_brackets(inside), re.compile(",")), text)
    )


def _matched(text: str) -> bool:
    return set(outside_brackets(text)[1:-1]) <= {"\0"}


def _without_brackets(text: str) -> str | None:
    single = len(text) > 2 and text[0] in "({[" and text[-1] == _PAIRED[text[0]] and _matched(text)
    return text[1:-1].strip() or None if single else None


def _matrix(inside: str, text: str) -> Collection | None:
    lines = re.sub(r"\\hline|\\cr(?![A-Za-z])", lambda match: "" if "h" in match[0] else "\\\\", inside).strip()
    rows = [_items("row", line.split("&"), line) for line in lines.removesuffix("\\\\").split("\\\\")]
    whole = [row for row in rows if row is not None]
    return Collection("matrix", tuple(whole), text) if len(whole) == len(rows) else None


def _items(shape: Shape, parts: list[str], text: str) -> Collection | None:
    stripped = [part.strip() for part in parts]
    if not all(stripped) or len(parts) > _MOST_ITEMS:
        return None
    return Collection(shape, tuple(read(part) for part in stripped), text)


def _split(text: str, shown: str, separator: re.Pattern[str]) -> list[str]:
    ends = [match.span() for match in separator.finditer(shown)]
    starts = [0, *(end for _, end in ends)]
    return [text[start:end] for start, end in zip(starts, [*(begin for begin, _ in ends), len(text)], strict=True)]


def _agree(gold: Answer, found: Answer, algebra: Algebra) -> bool | None:
    if isinstance(gold, Named) or isinstance(found, Named):
        return _same_named(gold, found, algebra)
    match (gold, found):
        case (Number(), Number()):
            return same_number(gold, found)
        case (Clock() | Ratio() | Date(), Clock() | Ratio() | Date()):
            return same_moment(gold, found)
        case (Words(), Words()):
            return same_words(gold, found)
        case (Collection(), Collection()):
            return _same_collection(gold, found, algebra)
    return _mixed(gold, found, algebra)


def _same_named(gold: Answer, found: Answer, algebra: Algebra) -> bool | None:
    if isinstance(gold, Named) and isinstance(found, Named):
        same = _agree(gold.answer, found.answer, algebra)
        if gold.name == found.name or same is False:
            return same
        # y = 2x + 1 is another way to write 2x + 1 = y, but x = 5 is not y = 5.
        formulas = isinstance(gold.answer, Formula) and isinstance(found.answer, Formula)
        return None if formulas or len(gold.name) > 1 or len(found.name) > 1 else False
    named, other = (gold, found) if isinstance(gold, Named) else (found, gold)
    assert isinstance(named, Named)  # noqa: S101 - one of the two is
    if isinstance(other, Formula) and _RELATION.search(other.text):
        return algebra(_text(gold), _text(found))
    return _agree(named.answer, other, algebra) if named is gold else _agree(other, named.answer, algebra)


def _same_collection(gold: Collection, found: Collection, algebra: Algebra) -> bool | None:
    if gold.shape != found.shape:
        return _other_shape(gold, found, algebra)
    if gold.shape == "union":
        return _same_items(gold, found, algebra) or algebra(gold.text, found.text)
    if gold.shape in {"set", "list"}:
        return _same_items(gold, found, algebra)
    if len(gold.items) != len(found.items):
        return False
    return _all(_agree(left, right, algebra) for left, right in zip(gold.items, found.items, strict=True))


def _other_shape(gold: Collection, found: Collection, algebra: Algebra) -> bool | None:
    shapes = {gold.shape, found.shape}
    if shapes == {"set", "list"}:
        return _same_items(gold, found, algebra)
    if "list" in shapes and "()" in shapes:
        points = gold if gold.shape == "list" else found
        return False if len(points.items) > 1 and all(isinstance(item, Collection) for item in points.items) else None
    if shapes <= {"()", "[]", "[)", "(]"}:
        # (1, 2) and [1, 2] may both be the point or vector; a half-open interval is nothing else.
        return False if shapes & {"[)", "(]"} else None
    return (
        None
        if "list" in shapes or "matrix" in shapes
        else algebra(gold.text, found.text)
        if "union" in shapes
        else False
    )


def _same_items(gold: Collection, found: Collection, algebra: Algebra) -> bool | None:
    """Compare without order; every item must have its own."""
    if _several_names(gold) != _several_names(found):
        return None
    if len(gold.items) != len(found.items) and gold.shape == found.shape == "list":
        return False if len(set(map(_text, gold.items))) != len(set(map(_text, found.items))) else None
    verdicts = [_any(_agree(one, other, algebra) for other in found.items) for one in gold.items]
    if False in verdicts:
        return False
    return _all([*verdicts, *(_any(_agree(one, other, algebra) for one in gold.items) for other in found.items)])


def _several_names(collection: Collection) -> bool:
    return len({item.name for item in collection.items if isinstance(item, Named)}) > 1


def _mixed(gold: Answer, found: Answer, algebra: Algebra) -> bool | None:
    kinds = {type(gold), type(found)}
    if kinds <= {Infinite, Number}:
        return gold == found
    if Words in kinds:
        return _against_words(gold, found, algebra)
    if kinds & {Clock, Date, Ratio}:
        return _against_moment(gold, found)
    for one, other in ((gold, found), (found, gold)):
        if isinstance(one, Collection) and isinstance(other, Number | Infinite):
            return _against_number(one, other)
        if isinstance(one, Collection) and one.shape in {"list", "matrix", "row"}:
            return _against_formula(one, other, algebra)
    return algebra(_text(gold), _text(found)) if _certain(gold) and _certain(found) else None


def _against_words(gold: Answer, found: Answer, algebra: Algebra) -> bool | None:
    for option, other in ((gold, found), (found, gold)):
        if isinstance(option, Words) and (inside := content_of(option)):
            return _agree(read(inside), other, algebra)
    if type(gold) in {Number, Infinite} or type(found) in {Number, Infinite}:
        return False
    words, other = (gold, found) if isinstance(gold, Words) else (found, gold)
    empty = isinstance(other, Collection) and other.shape == "set" and not other.items
    return isinstance(words, Words) and words.said == NO_SOLUTION if empty else None


def _against_moment(gold: Answer, found: Answer) -> bool | None:
    moment, other = (gold, found) if isinstance(gold, Clock | Date | Ratio) else (found, gold)
    if not isinstance(other, Number):
        return None
    # 1:2 may be a half, or a time.
    return None if isinstance(moment, Ratio) and moment.parts[0] == other.value * moment.parts[1] else False


def _against_number(collection: Collection, number: Number | Infinite) -> bool | None:
    written = re.sub(r"\s", "", collection.text)
    if collection.shape == "list" and re.fullmatch(r"\d+,\d+|\d{1,3}(?:,\d{3})+", written):
        # 1, 234 may be two numbers or one, and 1,5 is how half of the world writes 1.5.
        readings = {Fraction(written.replace(",", sign)) for sign in ("", ".") if not sign or written.count(",") == 1}
        return None if isinstance(number, Number) and number.value in readings else False
    if collection.shape == "list" and isinstance(number, Number) and number.measure.dimension:
        # "20 minutes and 3 hours" may be two answers, or one.
        parts = [item for item in collection.items if isinstance(item, Number)]
        same = len(parts) == len(collection.items) and {item.measure.dimension for item in parts} == {
            number.measure.dimension
        }
        total = sum((item.value * item.measure.factor for item in parts), Fraction(0))
        return None if same and total == number.value * number.measure.factor else False
    if len(collection.items) == 1 and collection.shape == "set":
        return _agree(collection.items[0], number, lambda _one, _other: None)
    return False


def _against_formula(collection: Collection, other: Answer, algebra: Algebra) -> bool | None:
    if collection.shape != "list" or not isinstance(other, Formula) or _RELATION.search(other.text):
        return None
    # A list is one formula only where all of its items are.
    return None if _all(_agree(item, other, algebra) for item in collection.items) is not False else False


def _certain(answer: Answer) -> bool:
    return not isinstance(answer, Number) or (answer.measure.certain and not answer.digits)


def _text(answer: Answer) -> str:
    r"""Return an answer as LaTeX that algebra reads."""
    if isinstance(answer, Number):
        value = answer.value / 100 if answer.percent else answer.value
        top = str(value.numerator)
        return top if value.denominator == 1 else f"\\frac{{{top}}}{{{value.denominator}}}"
    if isinstance(answer, Infinite):
        return "-\\infty" if answer.sign < 0 else "\\infty"
    if isinstance(answer, Ratio):
        return "/".join(map(str, answer.parts))
    return answer.text if isinstance(answer, Formula | Collection | Named | Words) else repr(answer)


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    known: set[bool | None] = set()
    for verdict in verdicts:
        if verdict is False:
            return False
        known.add(verdict)
    return None if None in known else True


def _any(verdicts: Iterable[bool | None]) -> bool | None:
    known: set[bool | None] = set()
    for verdict in verdicts:
        if verdict is True:
            return True
        known.add(verdict)
    return None if None in known else False
