"""Numbers that their surroundings bind: dates, clock times, names, percentages, and numbers written as words."""

from __future__ import annotations

import re
from itertools import zip_longest

_YEAR = range(1900, 2101)
_WINDOW = 14
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_CLOCK = r"\s*(?:a\.?m\b|p\.?m\b|o['’]?clock|[点时](?!间))"
_AFTER = re.compile(
    rf"(?:st|nd|rd|th)\b|[:/]\d|-\d|\^|s\b|{_CLOCK}|\s*(?:[月日号万亿百十]|千(?![米克瓦])|(?:{_MONTHS})\b)", re.I
)
_BEFORE = re.compile(
    rf"(?:[^\W\u2e80-\u9fff]|[:/^\\#.])$|\d-$|[A-Za-z]-$|第\s*$|\b(?:{_MONTHS}|grade|route|room|highway)\s+$", re.I
)
_WRITTEN_ORDINAL = re.compile(rf"(?:st|nd|rd|th)\b|{_CLOCK}", re.I)
_PERCENT = re.compile(r"\s*(?:[%％]|percent\b)", re.I)
_HUNDREDTH = re.compile(r"\s*/\s*100(?!\d)")

_SMALL_WORDS = re.findall(
    "[a-z]+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen",
)
_TENS_WORDS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: value for value, word in enumerate(_SMALL_WORDS)}
_VALUES |= {word: 20 + 10 * index for index, word in enumerate(_TENS_WORDS)}
_VALUES |= {"twice": 2, "double": 2, "thrice": 3, "triple": 3, "dozen": 12}
_SCALES = {"hundred": 100, "thousand": 1000}
_WORD = re.compile(r"[a-z]+")
_CHINESE_RUN = re.compile("[零一二两三四五六七八九十百千万]+")
_CHINESE_DIGITS = {character: value for value, character in enumerate("零一二三四五六七八九")} | {"两": 2}
_CHINESE_SCALES = {"十": 10, "百": 100, "千": 1000}


def is_bound(text: str, start: int, end: int) -> bool:
    """Tell whether the number at `text[start:end]` belongs to a date, a time, a fraction, a name or an ordinal."""
    written = text[start:end]
    if written.isdecimal() and int(written) in _YEAR:
        return True
    before, after = text[max(0, start - _WINDOW) : start], text[end : end + _WINDOW]
    return _BEFORE.search(before) is not None or _AFTER.match(after) is not None


def is_ordinal_or_time(text: str, end: int) -> bool:
    """Tell whether a number that ends at `end` is written as an ordinal or as a time of day."""
    return _WRITTEN_ORDINAL.match(text, end) is not None


def is_percent(text: str, start: int, end: int) -> bool:
    """Tell whether the number at `text[start:end]` is a percentage: `20%`, `20 percent`, `百分之20`."""
    while start and text[start - 1].isspace():
        start -= 1
    return _PERCENT.match(text, end) is not None or text.endswith("百分之", 0, start)


def is_hundredth(text: str, end: int) -> bool:
    """Tell whether a number that ends at `end` is divided by 100, as percentages are in a step."""
    return _HUNDREDTH.match(text, end) is not None


def spelled_numbers(text: str) -> set[int]:
    """Return the whole numbers that a text writes as words, below a million: `twenty-five`, `two hundred`, `十二`."""
    return _english(text) | {_chinese(run) for run in _CHINESE_RUN.findall(text)}


def _english(text: str) -> set[int]:
    found: set[int] = set()
    words = _WORD.findall(text.casefold())
    for word, following in zip_longest(words, words[1:], fillvalue=""):
        value = _VALUES.get(word)
        if value is None:
            continue
        found.add(value)
        if following in _SCALES:
            found.add(value * _SCALES[following])
        elif word in _TENS_WORDS and 0 < _VALUES.get(following, 0) < 10:
            found.add(value + _VALUES[following])
    return found


def _chinese(run: str) -> int:
    total = section = digit = 0
    for character in run:
        if character in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[character]
        elif character == "万":
            total, section, digit = (section + digit) * 10_000, 0, 0
        else:
            section, digit = section + (digit or 1) * _CHINESE_SCALES[character], 0
    return total + section + digit
