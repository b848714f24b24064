"""Clock times, dates and ratios: digits with signs between them that are no arithmetic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(?:(a|p)\.?\s*m\.?)?", re.IGNORECASE)
_HOUR = re.compile(r"(\d{1,2})\s*(?:(a|p)\.?\s*m\.?|o'clock)", re.IGNORECASE)
_IN_CHINESE = re.compile(r"(上午|早上|凌晨|下午|晚上)?(\d{1,2})(?:点|时)(?:(\d{1,2})分|(半)|整)?")
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?){1,5}")
_SHORT = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTHS = {name: at for at, name in enumerate(_SHORT.split("|"), 1)}
_MONTH = rf"(?P<name>(?:{_SHORT})[a-z]{{0,6}})\.?"
_YEAR = r"(?:,?\s+(?P<y>\d{4}))?"
_DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_DATES = (
    re.compile(r"(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})"),
    re.compile(r"(?:(?P<y>\d{4})年)?(?P<m>\d{1,2})月(?P<d>\d{1,2})[日号]"),
    re.compile(rf"{_MONTH}\s+{_DAY}{_YEAR}", re.IGNORECASE),
    re.compile(rf"{_DAY}\s+(?:of\s+)?{_MONTH}{_YEAR}", re.IGNORECASE),
)
_UNCERTAIN_DATE = re.compile(r"\d{1,2}([/.-])\d{1,2}\1\d{2,4}")


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day in seconds after midnight or noon; `half` is `a`, `p`, or empty where it is not said."""

    seconds: int
    half: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """Numbers with colons between them; `clock` where they may be a time of day as well."""

    parts: tuple[Fraction, ...]
    clock: Clock | None


@dataclass(frozen=True, slots=True)
class Date:
    """A day; year 0 where none is written; month 0 where the order of day and month is not certain."""

    year: int
    month: int
    day: int
    text: str = ""


Moment = Clock | Ratio | Date


def read_moment(text: str) -> Moment | None:
    """Return the time, date or ratio that a text is, or None."""
    return _date(text) or _clock(text) or _ratio(text)


def same_moment(gold: Moment, found: Moment) -> bool | None:
    """Tell whether two are the same; None where it is not said which half of the day, year or order is meant."""
    if isinstance(gold, Ratio) and isinstance(found, Ratio):
        if gold.parts == found.parts:
            return True
        proportional = len(gold.parts) == len(found.parts) and all(
            one * found.parts[0] == other * gold.parts[0] for one, other in zip(gold.parts, found.parts, strict=True)
        )
        return (None if gold.clock and found.clock else True) if proportional else False
    times = [one.clock if isinstance(one, Ratio) else one for one in (gold, found)]
    if isinstance(times[0], Clock) and isinstance(times[1], Clock):
        return _same_time(times[0], times[1])
    if isinstance(gold, Date) and isinstance(found, Date):
        return _same_date(gold, found)
    return None if type(gold) is type(found) else False


def _same_time(gold: Clock, found: Clock) -> bool | None:
    if gold.half and found.half:
        return gold.seconds == found.seconds and gold.half == found.half
    if gold.seconds % 43200 != found.seconds % 43200:
        return False
    one, other = _on_24_hours(gold), _on_24_hours(found)
    return one == other if one is not None and other is not None else None


def _on_24_hours(time: Clock) -> int | None:
    if time.half:
        return time.seconds % 43200 + (43200 if time.half == "p" else 0)
    return time.seconds if time.seconds >= 46800 or time.seconds < 3600 else None


def _same_date(gold: Date, found: Date) -> bool | None:
    if not gold.month or not found.month:
        return True if gold.text and gold.text == found.text else None
    if (gold.month, gold.day) != (found.month, found.day) or (gold.year and found.year and gold.year != found.year):
        return False
    return True if gold.year == found.year else None


def _date(text: str) -> Date | None:
    if _UNCERTAIN_DATE.fullmatch(text):
        return Date(0, 0, 0, text)
    for pattern in _DATES:
        if match := pattern.fullmatch(text):
            found = match.groupdict()
            month = _MONTHS[found["name"][:3].casefold()] if found.get("name") else int(found["m"])
            day = int(found["d"])
            return Date(int(found["y"] or 0), month, day) if 1 <= month <= 12 and 1 <= day <= 31 else None
    return None


def _clock(text: str) -> Clock | None:
    if (match := _IN_CHINESE.fullmatch(text)) and (match[1] or match[3] or match[4]):
        half = "" if not match[1] else "p" if match[1] in {"下午", "晚上"} else "a"
        return _time(int(match[2]), 30 if match[4] else int(match[3] or 0), 0, half)
    if (match := _CLOCK.fullmatch(text)) and match[4]:
        return _time(int(match[1]), int(match[2]), int(match[3] or 0), match[4].casefold())
    if match := _HOUR.fullmatch(text):
        return _time(int(match[1]), 0, 0, (match[2] or "").casefold())
    return None


def _time(hour: int, minute: int, second: int, half: str) -> Clock | None:
    if hour > 24 or minute > 59 or second > 59 or (half and hour > 12):
        return None
    return Clock(((hour % 12 if half else hour) * 60 + minute) * 60 + second, half)


def _ratio(text: str) -> Ratio | None:
    if not _RATIO.fullmatch(text):
        return None
    parts = tuple(Fraction(part.strip()) for part in text.split(":"))
    match = _CLOCK.fullmatch(text)
    return Ratio(parts, _time(int(match[1]), int(match[2]), int(match[3] or 0), "") if match else None)
