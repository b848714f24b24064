"""Answers that can be compared without algebra: numbers in English, LaTeX and Chinese, and collections of them.

Everything is exact (fractions) and linear in the length of the text, which is bounded. What is not certain is None.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from limoflow.worked.arithmetic import NUMBER, ExpressionError, decimals_of, to_fraction

LONGEST = 400
_MAX_POWER = 300
_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "亿": 10**8}
_CHINESE = "零〇一二两三四五六七八九十百千万亿"

_PLAIN = str.maketrans("−–", "--") | {ord("∞"): "\\infty"}
_DROPPED = re.compile(r"\\(?:left|right|bigl?|bigr|Bigl?|Bigr|displaystyle)(?![A-Za-z])|(?<!\\)\\[!,;: ]|~")
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|\\,|[ \u00a0\u202f])(?=\d{3}(?!\d))")
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|(\d)\s*(\d))")
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf|operatorname)\s*\{([^{}]*)\}")
_MATRIX = re.compile(r"\\begin\{([pbvVB]?)(?:small)?matrix\}(.*)\\end\{\1(?:small)?matrix\}", re.DOTALL)
_NAMED = re.compile(r"[A-Za-z]\s*=\s*(?=[^=])")
_MEASURES = "mm|cm|dm|km|m|mg|kg|g|ml|mL|L|l|ms|s|min|h|hr|hrs|mph|kmh|km/h|m/s|ft|in|lb|lbs|oz|degrees"
_UNIT = re.compile(
    rf"\s*(?:\^\s*\{{?\s*\\circ\s*\}}?|\\circ|°|(?P<measure>{_MEASURES})(?:\^?\{{?[23]\}}?)?"
    r"|\s(?!sqrt|times|plus|minus|over|divided|factorial|percent)[a-z]{4,16}(?:\s[a-z]{1,12}){0,2}"
    r"|(?:个|元|美元|小时|分钟|秒|天|岁|人|米|千米|公里|厘米|千克|公斤|克|只|本|块|角|次|倍|度|平方米|平方厘米|升)"
    r"[\u4e00-\u9fff]{0,4})\s*\.?"
)
_NUMBER = re.compile(rf"([-+]?)\s*[$€£¥]?\s*([-+]?)({NUMBER})")
_POWER_OF_TEN = re.compile(
    r"\s*(?:[eE]([-+]?\d{1,4})|(?:\\times|\\cdot|[×*·])\s*10\s*\^\s*(?:\{\s*(-?\d{1,4})\s*\}|(-?\d)))"
)
_RATIO = re.compile(rf"([-+]?)\s*({NUMBER})\s*/\s*(-?)({NUMBER})")
_MIXED = re.compile(r"([-+]?)\s*(\d+)\s+(\d+)\s*/\s*(\d+)")
_PARTS = re.compile(rf"([{_CHINESE}\d.]+)分之([{_CHINESE}\d.]+)")

Shape = Literal["set", "matrix", "()", "[]", "[)", "(]"]


@dataclass(frozen=True, slots=True)
class Number:
    """An exact number, the decimals that it shows, whether it is a percentage, and its unit of measure."""

    value: Fraction
    decimals: int = 0
    percent: bool = False
    measure: str = ""


@dataclass(frozen=True, slots=True)
class Infinite:
    """Plus or minus infinity, as an end of an interval."""

    sign: int


@dataclass(frozen=True, slots=True)
class Collection:
    """A set, a tuple or interval by its brackets, or a matrix whose items are rows."""

    shape: Shape | Literal["row"]
    items: tuple[Answer, ...]


Answer = Number | Infinite | Collection


def read(text: str) -> Answer | None:
    """Return what a short answer says exactly, or None where that takes algebra or is not certain."""
    if len(text) > LONGEST:
        return None
    try:
        return _read(_tidied(text))
    except (ExpressionError, ZeroDivisionError):
        return None


def agree(gold: Answer, found: Answer) -> bool | None:
    """Compare two answers; None where two shapes may mean the same, as (1, 2) and [1, 2]."""
    if isinstance(gold, Number) and isinstance(found, Number):
        return _same_number(gold, found)
    if isinstance(gold, Collection) and isinstance(found, Collection):
        return _same_collection(gold, found)
    if isinstance(gold, Infinite) or isinstance(found, Infinite):
        return gold == found
    return None


def _same_collection(gold: Collection, found: Collection) -> bool | None:
    if gold.shape != found.shape:
        half_open = {"[)", "(]"} & {gold.shape, found.shape}
        return False if half_open and "set" not in {gold.shape, found.shape} else None
    if gold.shape == "set":
        return _same_set(gold.items, found.items)
    if len(gold.items) != len(found.items):
        return False
    return _all(agree(left, right) for left, right in zip(gold.items, found.items, strict=True))


def _all(verdicts: Iterable[bool | None]) -> bool | None:
    known = set(verdicts)
    return False if False in known else None if None in known else True


def _same_set(gold: tuple[Answer, ...], found: tuple[Answer, ...]) -> bool | None:
    if any(isinstance(item, Collection) for item in (*gold, *found)):
        return None
    covered = all(any(agree(one, other) for other in found) for one in gold)
    return covered and all(any(agree(one, other) for one in gold) for other in found)


def _same_number(gold: Number, found: Number) -> bool:
    if gold.measure and found.measure and gold.measure != found.measure:
        return False
    if gold.value == found.value and gold.percent == found.percent:
        return True
    if gold.percent != found.percent:
        # 50 % is asked for and given as 50, 50 %, or 0.5.
        percent, plain = (gold, found) if gold.percent else (found, gold)
        return plain.value in (percent.value, percent.value / 100)
    places = min(gold.decimals, found.decimals) if gold.decimals and found.decimals else gold.decimals + found.decimals
    rounded = places >= 2 and gold.value.denominator != 1 and found.value.denominator != 1
    return rounded and abs(gold.value - found.value) <= Fraction(1, 2 * 10**places)


def _tidied(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    text = text.strip().strip("*_`").strip()
    while len(text) > 1 and text[0] == text[-1] == "$":
        text = text[1:-1].strip()
    for opening in ("\\boxed{", "\\fbox{"):
        if text.startswith(opening) and text.endswith("}"):
            text = text[len(opening) : -1].strip()
    text = _DROPPED.sub(lambda match: " " if match[0][-1] in " ;:~" else "\\," if match[0] == "\\," else "", text)
    text = _TEXT.sub(lambda match: f" {match[1]} ", text).replace("\\%", "%").replace("\\$", "$")
    text = _THOUSANDS.sub("", text).replace("\\,", " ")
    return re.sub(r"\s+", " ", text).strip().rstrip(".。").strip()


def _read(text: str) -> Answer | None:
    named = _NAMED.match(text)
    if named is not None:
        text = text[named.end() :].strip()
    matrix = _MATRIX.fullmatch(text)
    if matrix is not None:
        return None if matrix[1] in {"v", "V"} else _matrix(matrix[2])
    if text.startswith("\\{") and text.endswith("\\}"):
        return _collection("set", text[2:-2])
    if len(text) > 2 and text[0] in "([" and text[-1] in ")]" and "," in text:
        return _collection(_SHAPES[text[0] + text[-1]], text[1:-1])
    return _number(text)


_SHAPES: dict[str, Shape] = {"()": "()", "[]": "[]", "[)": "[)", "(]": "(]"}


def _matrix(inside: str) -> Collection | None:
    rows = [_items("row", row.split("&")) for row in inside.replace("\\cr", "\\\\").strip().strip("\\").split("\\\\")]
    whole = [row for row in rows if row is not None]
    return Collection("matrix", tuple(whole)) if whole and len(whole) == len(rows) else None


def _collection(shape: Shape, inside: str) -> Collection | None:
    inside = _plain_fractions(inside)
    nested = any(sign in inside for sign in "()[]{}&")
    return None if nested else _items(shape, inside.split(","))


def _items(shape: Shape | Literal["row"], parts: list[str]) -> Collection | None:
    items = [_infinite(part) or _number(part.strip()) for part in parts]
    known = tuple(item for item in items if item is not None)
    return Collection(shape, known) if len(known) == len(items) else None


def _infinite(text: str) -> Infinite | None:
    match = re.fullmatch(r"\s*([-+]?)\s*\\infty\s*", text)
    return None if match is None else Infinite(-1 if match[1] == "-" else 1)


def _number(text: str) -> Number | None:
    text = _plain_fractions(text)
    if match := _MIXED.match(text):
        value = int(match[2]) + _quotient(match[3], match[4])
        return _with_unit(-value if match[1] == "-" else value, 0, text[match.end() :])
    if match := _RATIO.match(text):
        value = _quotient(match[2], match[4])
        return _with_unit(-value if (match[1] == "-") != (match[3] == "-") else value, 0, text[match.end() :])
    if match := _NUMBER.match(text):
        return _decimal(match, text[match.end() :])
    return _in_chinese(text)


def _decimal(match: re.Match[str], rest: str) -> Number | None:
    value, decimals = to_fraction(match[3]), decimals_of(match[3])
    value = -value if "-" in {match[1], match[2]} else value
    if power := _POWER_OF_TEN.match(rest):
        exponent = int(power[1] or power[2] or power[3])
        if abs(exponent) > _MAX_POWER:
            return None
        value, decimals, rest = value * Fraction(10) ** exponent, max(0, decimals - exponent), rest[power.end() :]
    while rest[:1] in _MYRIADS:
        value, decimals, rest = value * _MYRIADS[rest[0]], 0, rest[1:]
    return _with_unit(value, decimals, rest)


def _with_unit(value: Fraction, decimals: int, rest: str) -> Number | None:
    if re.fullmatch(r"\s*%", rest):
        return Number(value, decimals, percent=True)
    if not rest:
        return Number(value, decimals)
    unit = _UNIT.fullmatch(rest)
    return None if unit is None else Number(value, decimals, measure=unit["measure"] or "")


def _plain_fractions(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        top, bottom = (match[1] if match[1] is not None else match[3]), (match[2] if match[2] is not None else match[4])
        # Only plain numbers: of (a+b)/c the brackets would be lost.
        plain_parts = all(re.fullmatch(rf"\s*-?\s*{NUMBER}\s*", part) for part in (top, bottom))
        return f" {top.strip()}/{bottom.strip()}" if plain_parts else match[0]

    return _FRACTION.sub(plain, text).strip()


def _quotient(top: str, bottom: str) -> Fraction:
    return to_fraction(top) / to_fraction(bottom)


def _in_chinese(text: str) -> Number | None:
    if text.startswith("百分之"):
        inside = _amount(text[3:])
        return None if inside is None else Number(inside, percent=True)
    if match := _PARTS.fullmatch(text):
        bottom, top = _amount(match[1]), _amount(match[2])
        return None if bottom is None or top is None else Number(top / bottom)
    sign, text = (-1, text[1:]) if text.startswith("负") else (1, text)
    value = _amount(text) if text and text[0] in _CHINESE else None
    return None if value is None else Number(sign * value)


def _amount(text: str) -> Fraction | None:
    if re.fullmatch(NUMBER, text):
        return to_fraction(text)
    if not text or len(text) > 40 or any(sign not in _CHINESE for sign in text):
        return None
    if all(sign in _DIGITS for sign in text):
        # Read out digit by digit, as years are.
        return Fraction("".join(str(_DIGITS[sign]) for sign in text))
    return _spelled(text)


def _spelled(text: str) -> Fraction | None:
    total, section, digit, last = 0, 0, 0, 10**12
    for sign in text:
        if sign in _DIGITS:
            digit = _DIGITS[sign]
        elif sign in _PLACES:
            section, digit = section + (digit or 1) * _PLACES[sign], 0
        elif _MYRIADS[sign] < last:
            total, section, digit, last = total + (section + digit) * _MYRIADS[sign], 0, 0, _MYRIADS[sign]
        else:
            return None
    return Fraction(total + section + digit)
