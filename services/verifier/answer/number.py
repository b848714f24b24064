"""Numbers that can be compared without algebra: exact values with their units, percentages and bases."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from limoflow.worked.arithmetic import NUMBER, ExpressionError, decimals_of, to_fraction
from services.verifier.answer.measures import Measure, currency, measure_of, scaled
from services.verifier.answer.numerals import leading

_MAX_POWER = 300
_MOST_PARTS = 4
_BETWEEN_PARTS = re.compile(r"(?<=\S)\s+(?:and\s+)?(?=[$€£¥]?\d)|(?<=[\u4e00-\u9fff])(?:零|又)?(?=\d)")
_ROUNDED_FROM = 2
_ROUNDED_FOR_EVER = 6
_NOTHING = Measure((), Fraction(1))
_FRACTION = re.compile(r"\\frac\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|(\d)\s*(\d))")
_MONEY = r"([$€£¥])?"
_NUMBER = re.compile(rf"([-+]?)\s*{_MONEY}\s*([-+]?)({NUMBER})")
_POWER_OF_TEN = re.compile(
    r"\s*(?:[eE]([-+]?\d{1,4})(?!\w)"
    r"|(?:\\times|\\cdot|[*])\s*10\s*\^\s*(?:\{\s*(-?\d{1,4})\s*\}|(-?\d)))"
)
_RATIO = re.compile(rf"([-+]?)\s*{_MONEY}\s*({NUMBER})\s*/\s*([-+]?)({NUMBER})(?!\s*/)")
_MIXED = re.compile(rf"([-+]?)\s*{_MONEY}\s*(\d+)\s+(?:and\s+)?(\d+)\s*/\s*(\d+)")
_REPEATING = re.compile(r"([-+]?)(\d*)\.(\d*)(?:\\overline\s*\{(\d+)\}|\\dot\s*\{?(\d)\}?)")
_BASED = re.compile(r"([0-9A-Fa-f]+)\s*_\s*(?:\{\s*(\d{1,2})\s*\}|(\d))")
_POWER = re.compile(r"(-?)\s*(\d{1,6})\s*\^\s*(?:\{\s*(-?\d{1,3})\s*\}|(-?\d{1,3}))")


@dataclass(frozen=True, slots=True)
class Number:
    """An exact number.

    Attributes
    ----------
    decimals : int
        Decimal places that it shows.
    measure : Measure
        Its unit; without dimension where none is written.
    digits : str
        What stands before the base where it is written in one (`1010` of `1010_2`), else empty.
    """

    value: Fraction
    decimals: int = 0
    percent: bool = False
    measure: Measure = _NOTHING
    digits: str = ""


def read_number(text: str) -> Number | None:
    """Return the number that a tidied text is, or None where it takes algebra or is not certain."""
    try:
        return _read(_plain_fractions(text))
    except (ExpressionError, ZeroDivisionError):
        return None


def read_compound(text: str) -> Number | None:
    """Return a value told in several units, from the largest to the smallest: 3 hours and 20 minutes, 5元3角."""
    parts = _BETWEEN_PARTS.split(text)
    if not 2 <= len(parts) <= _MOST_PARTS:
        return None
    read = [number for part in parts if (number := read_number(part)) is not None]
    measures = [number.measure for number in read]
    fits = len(read) == len(parts) and len({measure.dimension for measure in measures}) == 1
    factors = [measure.factor for measure in measures]
    if not fits or len(measures[0].dimension) != 1 or factors != sorted(set(factors), reverse=True):
        return None
    if any(number.percent or number.value < 0 or number.digits for number in read):
        return None
    whole = sum((number.value * number.measure.factor for number in read), Fraction(0))
    return Number(whole / factors[0], measure=measures[0])


def same_number(gold: Number, found: Number) -> bool | None:
    """Tell whether two numbers are the same answer; None where it is a matter of rounding, units or convention."""
    if gold.digits != found.digits and not (gold.digits and found.digits):
        written, other = (gold, found) if gold.digits else (found, gold)
        return (
            None
            if written.value != other.value and str(other.value) == written.digits
            else written.value == other.value
        )
    if gold.percent != found.percent:
        # 50 % is asked for and given as 50, 50 %, or 0.5.
        percent, plain = (gold, found) if gold.percent else (found, gold)
        return not plain.measure.dimension and plain.value in (percent.value, percent.value / 100)
    return _same_measured(gold, found)


def _same_measured(gold: Number, found: Number) -> bool | None:
    left, right = gold.measure, found.measure
    if not left.dimension or not right.dimension:
        verdict = _same_value(gold, found)
        return None if verdict and not (left.certain and right.certain) else verdict
    if left.dimension == right.dimension:
        return (
            _same_value(replace(gold, value=gold.value * left.factor), replace(found, value=found.value * right.factor))
            if left.factor != right.factor
            else _same_value(gold, found)
        )
    if left.physical and right.physical:
        return False
    return None if gold.value == found.value else False


def _same_value(gold: Number, found: Number) -> bool | None:
    difference = abs(gold.value - found.value)
    if difference == 0:
        return True
    places = _places_to_compare(gold, found)
    if places is None or difference > Fraction(1, 10**places) / (1 if places >= _ROUNDED_FOR_EVER else 2):
        return False
    if gold.decimals >= _ROUNDED_FROM and not found.decimals:
        # A fraction is more exact than the decimal reference that it rounds to.
        return True
    # Six places are a number that does not end; fewer may be rounding, or another number.
    return True if places >= _ROUNDED_FOR_EVER else None


def _places_to_compare(gold: Number, found: Number) -> int | None:
    shown = [number.decimals for number in (gold, found) if number.decimals]
    whole = any(number.value.denominator == 1 for number in (gold, found))
    return min(shown) if shown and min(shown) >= _ROUNDED_FROM and not whole else None


def _read(text: str) -> Number | None:
    if based := _BASED.fullmatch(text):
        return _in_base(based[1], int(based[2] or based[3]))
    if match := _POWER.fullmatch(text):
        return _raised(match)
    if match := _NUMBER.match(text):
        return _fraction(text) or _decimal(match, text[match.end() :])
    return _fraction(text) or _in_words(text)


def _fraction(text: str) -> Number | None:
    if match := _REPEATING.match(text):
        return _with_unit(_repeating(match), 0, text[match.end() :])
    if match := _MIXED.match(text):
        value = int(match[3]) + to_fraction(match[4]) / to_fraction(match[5])
        return _with_unit(-value if match[1] == "-" else value, 0, text[match.end() :], match[2])
    if match := _RATIO.match(text):
        value = to_fraction(match[3]) / to_fraction(match[5])
        return _with_unit(-value if (match[1] == "-") != (match[4] == "-") else value, 0, text[match.end() :], match[2])
    return None


def _decimal(match: re.Match[str], rest: str) -> Number | None:
    value, decimals = to_fraction(match[4]), decimals_of(match[4])
    if match[1] and match[3]:
        return None
    value = -value if "-" in {match[1], match[3]} else value
    if power := _POWER_OF_TEN.match(rest):
        exponent = int(power[1] or power[2] or power[3])
        if abs(exponent) > _MAX_POWER:
            return None
        value, decimals, rest = value * Fraction(10) ** exponent, max(0, decimals - exponent), rest[power.end() :]
    if rest.startswith("分之"):
        return _in_words(match.string)
    factor, rest = scaled(rest)
    return _with_unit(value * factor, decimals if factor == 1 else 0, rest, match[2])


def _with_unit(value: Fraction, decimals: int, rest: str, money: str | None = None) -> Number | None:
    measure = measure_of(rest) if rest.strip() else _NOTHING
    if measure is None:
        return None
    if isinstance(measure, str):
        return None if money else Number(value, decimals, percent=True)
    paid = currency(money) if money else None
    if paid is not None:
        # A sign and a word may say the same twice; two that differ say nothing certain.
        measure = paid if measure == _NOTHING or measure.dimension == paid.dimension else None
    return None if measure is None else Number(value, decimals, measure=measure)


def _in_base(digits: str, base: int) -> Number | None:
    if not 2 <= base <= 16 or len(digits) > 60:
        return None
    try:
        return Number(Fraction(int(digits, base)), digits=digits)
    except ValueError:
        return None


def _raised(match: re.Match[str]) -> Number | None:
    exponent = int(match[3] or match[4])
    if abs(exponent) > _MAX_POWER:
        return None
    value = Fraction(int(match[2])) ** exponent
    return Number(-value if match[1] else value)


def _repeating(match: re.Match[str]) -> Fraction:
    start, period = match[3], match[4] or match[5]
    value = Fraction(int((match[2] or "0") + start + period) - int((match[2] or "0") + start))
    value /= (10 ** len(period) - 1) * 10 ** len(start)
    return Fraction(-value if match[1] == "-" else value)


def _in_words(text: str) -> Number | None:
    found = leading(text)
    if found is None:
        return None
    value, percent, rest = found
    if percent:
        return None if rest else Number(value, percent=True)
    return _with_unit(value, 0, rest)


def _plain_fractions(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        top, bottom = (match[1] if match[1] is not None else match[3]), (match[2] if match[2] is not None else match[4])
        # Only plain numbers: of (a+b)/c the brackets would be lost.
        plain_parts = all(re.fullmatch(rf"\s*-?\s*{NUMBER}\s*", part) for part in (top, bottom))
        if not plain_parts or (top.strip().startswith("-") and match.string[: match.start()].strip()):
            return match[0]
        return f" {top.strip()}/{bottom.strip()}"

    return _FRACTION.sub(plain, text).strip()
