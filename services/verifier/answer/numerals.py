"""Numbers in Chinese: spelled, read out digit by digit, mixed with digits, as fractions and percentages."""

from __future__ import annotations

import re
from fractions import Fraction

from limoflow.worked.arithmetic import NUMBER, to_fraction

CHINESE = "零〇一二两三四五六七八九十百千万亿"
MYRIADS = {"万": 10**4, "亿": 10**8}
_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_PARTS = re.compile(rf"([{CHINESE}\d.]+)分之([{CHINESE}\d.]+)")
_LEADING = re.compile(rf"负?(?:百分之)?[{CHINESE}\d.]+(?:分之[{CHINESE}\d.]+|点[{CHINESE[:11]}]+)?")
_LONGEST = 40


def leading(text: str) -> tuple[Fraction, bool, str] | None:
    """Return the value at the start of a text, whether it is a percentage, and what follows; or None."""
    match = _LEADING.match(text)
    if match is None or len(match[0]) > _LONGEST or not any(sign in CHINESE for sign in match[0]):
        return None
    written = match[0]
    sign = -1 if written.startswith("负") else 1
    written = written.removeprefix("负")
    percent = written.startswith("百分之")
    value = _value(written.removeprefix("百分之"))
    return None if value is None else (sign * value, percent, text[match.end() :])


def _value(text: str) -> Fraction | None:
    if parts := _PARTS.fullmatch(text):
        bottom, top = _amount(parts[1]), _amount(parts[2])
        return top / bottom if bottom and top is not None else None
    whole, point, decimals = text.partition("点")
    amount = _amount(whole)
    if amount is None or not point:
        return amount
    return amount + Fraction(int("".join(str(_DIGITS[sign]) for sign in decimals)), 10 ** len(decimals))


def _amount(text: str) -> Fraction | None:
    if re.fullmatch(NUMBER, text):
        return to_fraction(text)
    if not text or any(sign not in CHINESE for sign in text):
        return None
    if all(sign in _DIGITS for sign in text):
        # Read out digit by digit, as years are.
        return Fraction("".join(str(_DIGITS[sign]) for sign in text))
    return _spelled(text)


def _spelled(text: str) -> Fraction | None:
    total, section, digit, last, place = 0, 0, 0, 10**12, 10**4
    for sign in text:
        if sign in _DIGITS:
            # Two digits in a row are read out, not spelled: 一二十 is no number.
            if digit and sign not in "零〇":
                return None
            digit = _DIGITS[sign]
        elif sign in _PLACES and _PLACES[sign] < place:
            place = _PLACES[sign]
            section, digit = section + (digit or 1) * place, 0
        elif sign in MYRIADS and MYRIADS[sign] < last:
            total, section, digit, last, place = total + (section + digit) * MYRIADS[sign], 0, 0, MYRIADS[sign], 10**4
        else:
            return None
    return Fraction(total + section + digit)
