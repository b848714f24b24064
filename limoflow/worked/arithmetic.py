"""Exact arithmetic on text: numbers as people write them, and a bounded parser of expressions. Nothing is evaluated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

MAX_LENGTH = 400
MAX_DEPTH = 24
MAX_EXPONENT = 64
MAX_BITS = 4096

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+|\.\d+|\d+)"
_TOKEN = re.compile(rf"\s*(?:(?P<number>{NUMBER})|(?P<operator>\*\*|[-+*/^()%])|(?P<money>[$€£¥￥]))")
_SIGNS = str.maketrans(
    {"×": "*", "·": "*", "∗": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "（": "(", "）": ")", "％": "%"}
    | {"[": "(", "]": ")", "{": "(", "}": ")", "＋": "+", "－": "-", "＊": "*", "／": "/", "＝": "="}
)
_LETTER_TIMES = re.compile(r"(?<=[\d)%\s])[xX](?=\s*[$€£¥￥]?[\d(.])")


class ExpressionError(ValueError):
    """The text is no arithmetic expression, or exceeds the bounds of what is computed."""


class DivisionByZero(ExpressionError):
    """The expression can be read, and has no value."""


@dataclass(frozen=True, slots=True)
class Value:
    """An exact value, with the interval that it may lie in when written operands were rounded.

    Attributes
    ----------
    exact, low, high : Fraction
    decimals : int
        The most decimal places that any operand shows.
    """

    exact: Fraction
    low: Fraction
    high: Fraction
    decimals: int = 0


def canonical(text: str) -> str:
    """Return the expression with one sign for each operation; the length is kept, so positions stay valid."""
    return _LETTER_TIMES.sub("*", text.translate(_SIGNS))


def to_fraction(number: str) -> Fraction:
    """Return the exact value of a number such as `1,234.50` or `.5`.

    Raises
    ------
    ExpressionError
        When the number has more digits than are computed with.
    """
    if len(number) > MAX_LENGTH:
        raise ExpressionError(f"a number of {len(number)} characters exceeds the bound of {MAX_LENGTH}")
    try:
        digits = number.replace(",", "")
        return Fraction(int(digits)) if digits.isdecimal() else Fraction(digits)
    except (ValueError, ZeroDivisionError) as error:
        raise ExpressionError(f"{number!r} is no number") from error


def decimals_of(number: str) -> int:
    """Return how many decimal places a written number shows."""
    return len(number.rpartition(".")[2]) if "." in number else 0


# A worked answer writes each expression twice: in its note and beside it.
@lru_cache(maxsize=1024)
def evaluate(text: str) -> Value:
    """Compute an expression of `+ - * / ^ ( ) %` exactly, by recursive descent.

    Parameters
    ----------
    text : str
        Currency signs and thousands separators are understood; `%` divides by 100.

    Raises
    ------
    ExpressionError
        When it is no expression, divides by zero, or exceeds the bounds on length, depth, exponent or digits.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"an expression of {len(text)} characters exceeds the bound of {MAX_LENGTH}")
    return _Parser(canonical(text)).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_scan(text))
        self._at = 0
        self._depth = 0

    def parse(self) -> Value:
        value = self._sum()
        if self._at != len(self._tokens):
            raise ExpressionError(f"unexpected {self._tokens[self._at]!r} in an expression")
        return value

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _sum(self) -> Value:
        value = self._product()
        while self._peek() in {"+", "-"}:
            value = _combined(self._take(), value, self._product())
        return value

    def _product(self) -> Value:
        value = self._power()
        while self._peek() in {"*", "/"}:
            value = _combined(self._take(), value, self._power())
        return value

    def _power(self) -> Value:
        base = self._signed()
        if self._peek() not in {"^", "**"}:
            return base
        self._take()
        exponent = self._signed()
        return _raised(base, exponent)

    def _signed(self) -> Value:
        negative = False
        while self._peek() in {"+", "-"}:
            negative ^= self._take() == "-"
        value = self._percent()
        return Value(-value.exact, -value.high, -value.low, value.decimals) if negative else value

    def _percent(self) -> Value:
        value = self._atom()
        while self._peek() == "%":
            self._take()
            value = Value(value.exact / 100, value.low / 100, value.high / 100, value.decimals)
        return value

    def _atom(self) -> Value:
        symbol = self._take()
        if symbol == "(":
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ExpressionError(f"parentheses nest deeper than {MAX_DEPTH}")
            value = self._sum()
            self._depth -= 1
            if self._take() != ")":
                raise ExpressionError("a parenthesis is not closed")
            return value
        if not symbol or not (symbol[0].isdigit() or symbol[0] == "."):
            raise ExpressionError(f"a number was expected, not {symbol!r}")
        return _written(symbol)


def _scan(text: str) -> list[str]:
    tokens, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(f"{text[at : at + 12]!r} is not part of an expression")
        at = match.end()
        if match["money"] is None:
            tokens.append(match["number"] or match["operator"])
    return tokens


def _written(number: str) -> Value:
    exact, decimals = to_fraction(number), decimals_of(number)
    # Two decimals and more are how people write what they rounded: 33.33, 0.67.
    if decimals < 2:
        return Value(exact, exact, exact, decimals)
    slack = Fraction(1, 2 * 10**decimals)
    return Value(exact, exact - slack, exact + slack, decimals)


def _combined(operator: str, left: Value, right: Value) -> Value:
    decimals = max(left.decimals, right.decimals)
    if left.low is left.exact and right.low is right.exact:
        exact = _computed(operator, left.exact, right.exact)
        return _bounded(Value(exact, exact, exact, decimals))
    if operator == "/" and right.low <= 0 <= right.high:
        exact = _computed(operator, left.exact, right.exact)
        return Value(exact, exact, exact, decimals)
    corners = [_computed(operator, a, b) for a in (left.low, left.high) for b in (right.low, right.high)]
    return _bounded(Value(_computed(operator, left.exact, right.exact), min(corners), max(corners), decimals))


def _computed(operator: str, left: Fraction, right: Fraction) -> Fraction:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if right == 0:
        raise DivisionByZero("division by zero")
    return left / right


def _raised(base: Value, exponent: Value) -> Value:
    power = exponent.exact
    if power.denominator != 1 or not 0 <= power <= MAX_EXPONENT:
        raise ExpressionError(f"only whole exponents from 0 to {MAX_EXPONENT} are computed, not {power}")
    exact = base.exact ** int(power)
    return _bounded(Value(exact, exact, exact, base.decimals))


def _bounded(value: Value) -> Value:
    if value.exact.numerator.bit_length() + value.exact.denominator.bit_length() > MAX_BITS:
        raise ExpressionError(f"a value exceeds the bound of {MAX_BITS} bits")
    return value


def agrees(value: Value, claimed: str) -> bool:
    """Tell whether a written result agrees with a computed value, as people round.

    Accepted: the exact value; a value rounded or cut at the decimals that are shown; a whole number next to a value
    that is not whole; and a rounder number inside the interval that rounded operands leave.
    """
    stated, decimals = to_fraction(claimed), decimals_of(claimed)
    difference = abs(value.exact - stated)
    if difference == 0:
        return True
    unit = Fraction(1, 10**decimals)
    if value.exact.denominator != 1 and (value.exact * 10**decimals).denominator != 1 and difference < unit:
        return True
    return decimals < value.decimals and value.low <= stated <= value.high
