"""Two formulas compared with math-verify. Only for processes that may be killed: nothing here bounds time or memory."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from services.verifier.answer.formula import formula_of, letters_differ_in_case_only, split_unit

_DIGITS = 30
_EXACT = 1e-20
_ROUNDED = 1e-6
_APART = 1e-5
_OF_SETS = re.compile(r"\\(?:cap|setminus)")
_IMAGINARY = re.compile(r"(?<![A-Za-z\\])i(?![A-Za-z])")


def equivalent(gold: str, found: str) -> bool | None:
    """Tell whether two formulas are the same; None where one cannot be read with certainty."""
    (left, unit), (right, other_unit) = split_unit(gold), split_unit(found)
    left_formula, right_formula = formula_of(left), formula_of(right)
    if left_formula is None or right_formula is None:
        return True if gold == found else None
    if letters_differ_in_case_only(left, right) or (unit and other_unit and unit != other_unit):
        return None
    if ("\\ne" in left) != ("\\ne" in right):
        # math-verify does not turn a set into what it leaves out.
        return None
    return _verified(left_formula, right_formula)


def _verified(gold: str, found: str) -> bool | None:
    from math_verify import verify

    real = not any(map(_IMAGINARY.search, (gold, found)))
    left, right = _parsed(gold, real), _parsed(found, real)
    if left is None or right is None:
        return None
    if _is_number(left) and _is_number(right):
        return _same_value(left, right)
    if _differ_somewhere(left, right) or _is_infinite(left) != _is_infinite(right):
        return False
    agree = verify(left, right, allow_set_relation_comp=True, timeout_seconds=None)
    # What is left of sets is not always computed, so that they look different.
    return True if agree else None if _OF_SETS.search(gold + found) else False


@lru_cache(maxsize=256)
def _parsed(text: str, real: bool) -> Any:
    from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig

    steps = NormalizationConfig(basic_latex=True, malformed_operators=True, boxed="none")
    try:
        value = latex2sympy(
            normalize_latex(text, steps),
            is_real=real,
            convert_degrees="\\circ" in text,
            normalization_config=None,
            conversion_config=ConversionConfig(lowercase_symbols=False),
        )
        return value if real else _with_imaginary_unit(value)
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - the parser raises whatever its grammar meets
        return None


def _with_imaginary_unit(value: Any) -> Any:
    import sympy

    letters = [symbol for symbol in getattr(value, "free_symbols", ()) if str(symbol) == "i"]
    return value.subs(dict.fromkeys(letters, sympy.I))


def _differ_somewhere(left: Any, right: Any) -> bool:
    """Tell whether two expressions have different values at a positive point, which spares a simplification."""
    import sympy

    if not (isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr)):
        return False
    symbols = sorted(left.free_symbols | right.free_symbols, key=str)
    point = {symbol: sympy.Rational(137 + 59 * at, 101) for at, symbol in enumerate(symbols)}
    one, other = (value.evalf(_DIGITS, subs=point) for value in (left, right))
    if not (one.is_number and other.is_number) or _is_infinite(one) or _is_infinite(other):
        return False
    return bool(abs(one - other) > _APART * max(abs(one), abs(other)))


def _is_infinite(value: Any) -> bool:
    import sympy

    return isinstance(value, sympy.Expr) and value.has(sympy.oo, -sympy.oo, sympy.zoo, sympy.nan)


def _is_number(value: Any) -> bool:
    import sympy

    return isinstance(value, sympy.Expr) and not value.free_symbols and not _is_infinite(value)


def _same_value(left: Any, right: Any) -> bool | None:
    """Compare closed forms by thirty digits; math-verify rounds to six places, whatever the size of the numbers."""
    import sympy

    one, other = (sympy.N(sympy.nsimplify(value, rational=True), _DIGITS) for value in (left, right))
    if not (one.is_number and other.is_number):
        return None
    difference, size = abs(one - other), max(abs(one), abs(other))
    if difference <= _EXACT * size:
        return True
    # Six decimal places are how a number that does not end is written.
    decimal = any(value.is_Float or (value.is_Rational and not value.is_Integer) for value in (left, right))
    return bool(decimal and difference <= _ROUNDED * min(1, size))
