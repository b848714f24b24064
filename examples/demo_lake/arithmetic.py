"""Exact arithmetic for worked answers: expressions over named whole numbers, evaluated as fractions."""

import ast
import operator
import random
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache

_OPERATORS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_STEP = re.compile(r"<(\w+)=([^<>=]+)>")
_NAME = re.compile(r"[A-Za-z_]\w*")


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> ast.expr:
    return ast.parse(expression.strip(), mode="eval").body


def _value(node: ast.expr, values: Mapping[str, Fraction]) -> Fraction:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, values), _value(right, values))
        case ast.Constant(value=int(number)):
            return Fraction(number)
        case ast.Name(id=name):
            return values[name]
    raise ValueError(f"the expression part {ast.dump(node)} is not arithmetic: use names, whole numbers and + - * /")


def evaluate(expression: str, values: Mapping[str, Fraction]) -> Fraction:
    """Return the exact value of an expression of names, whole numbers and ``+ - * /``.

    Raises
    ------
    ValueError
        The expression holds anything else.
    KeyError
        A name has no value.
    """
    return _value(_parsed(expression), values)


def decimal_text(number: Fraction) -> str:
    """Write a fraction as a whole number or a finite decimal of at most four places.

    Raises
    ------
    ValueError
        The number has no such form; templates must draw numbers that work out.
    """
    if number.denominator == 1:
        return str(number.numerator)
    scaled = number * 10_000
    if scaled.denominator != 1:
        raise ValueError(f"{number} has more than four decimal places: change the draw of the template")
    return f"{float(number):.4f}".rstrip("0")


def draw_numbers(specification: str, random_source: random.Random) -> dict[str, Fraction]:
    """Draw the numbers of a template.

    Parameters
    ----------
    specification
        Parts joined by ``;``: ``a 3:9`` (inclusive), ``a 10:90:10`` (with a step), ``a = b*c`` (computed).
        A bound may be an expression of what was drawn before it.
    random_source
        Where the draws come from.
    """
    values: dict[str, Fraction] = {}
    for part in specification.split(";"):
        name, rest = part.strip().split(" ", 1)
        if rest.startswith("="):
            values[name] = evaluate(rest[1:], values)
            continue
        low, high, *step = (int(evaluate(bound, values)) for bound in rest.split(":"))
        values[name] = Fraction(random_source.randrange(low, high + 1, *step))
    return values


def work_out(solution: str, values: Mapping[str, Fraction]) -> tuple[str, dict[str, Fraction]]:
    """Replace each step ``<name=expression>`` by ``48/2 = <<48/2=24>>24``.

    Returns
    -------
    tuple
        The text with its steps worked out, and all values: those given and those of the steps.
    """
    known = dict(values)

    def step(match: re.Match[str]) -> str:
        name, expression = match.groups()
        known[name] = evaluate(expression, known)
        shown = _NAME.sub(lambda word: decimal_text(known[word.group()]), expression)
        result = decimal_text(known[name])
        return f"{shown} = <<{shown}={result}>>{result}"

    return _STEP.sub(step, solution), known
