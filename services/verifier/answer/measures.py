"""Units: what a number is measured in, and how one unit turns into another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Dimension = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """A unit: what it measures, and how many of the base unit one of it is.

    Attributes
    ----------
    dimension : tuple of (str, int)
        Base quantities with their powers, as `(("length", 1), ("time", -1))`; a word that is no unit is its
        own quantity.
    certain : bool
        False for one letter glued to its number: `5m` may be 5 metres or 5 times m.
    """

    dimension: Dimension
    factor: Fraction
    certain: bool = True

    @property
    def physical(self) -> bool:
        """Whether it is one of the units whose conversion is known; money and counted things are not."""
        return all(name in _PHYSICAL for name, _ in self.dimension)


_PHYSICAL = {"length", "mass", "time", "angle", "force", "energy", "power", "pressure", "frequency"}
_NAMES = {
    ("length", 1): {
        "mm millimeter millimetre 毫米": "0.001", "cm centimeter centimetre 厘米 公分": "0.01",
        "dm decimeter 分米": "0.1",
        "m meter metre 米": "1", "km kilometer kilometre 千米 公里": "1000", "in inch inches 英寸": "0.0254",
        "ft foot feet 英尺": "0.3048", "yd yard 码": "0.9144", "mi mile 英里": "1609.344",
    },
    ("length", 3): {
        "ml mL milliliter millilitre 毫升": "0.000001", "l L liter litre 升": "0.001",
        "gallon gal 加仑": "0.003785411784",
    },
    ("mass", 1): {
        "mg milligram 毫克": "0.001", "g gram 克": "1", "kg kilogram 千克 公斤": "1000", "tonne 吨": "1000000",
        "lb lbs pound 磅": "453.59237", "oz ounce 盎司": "28.349523125", "斤": "500",
    },
    ("time", 1): {
        "ms millisecond 毫秒": "0.001", "s sec second 秒 秒钟": "1", "min minute 分钟": "60",
        "h hr hrs hour 小时 时 个小时": "3600",
        "day 天": "86400", "week 周 星期 个星期": "604800",
    },
    ("month", 1): {"month 个月 月": "1", "year yr 年": "12"},
    ("angle", 1): {"deg degree ° 度": "1"},
    ("radian", 1): {"rad radian 弧度": "1"},
    ("force", 1): {"newton 牛 牛顿": "1"},
    ("energy", 1): {"joule 焦 焦耳": "1", "kJ kilojoule 千焦": "1000", "cal 卡": "4.184", "kcal 千卡": "4184"},
    ("power", 1): {"watt 瓦 瓦特": "1", "kW kilowatt 千瓦": "1000"},
    ("pressure", 1): {"Pa pascal 帕 帕斯卡": "1", "kPa 千帕": "1000"},
    ("frequency", 1): {"Hz hertz 赫兹": "1"},
    ("dollar", 1): {"$ dollar usd USD 美元 刀": "1", "cent ¢ 美分": "0.01"},
    ("yuan", 1): {"¥ yuan rmb RMB 元 块 块钱 元钱 人民币": "1", "角 毛": "0.1"},
    ("euro", 1): {"€ euro EUR 欧元": "1"},
    ("sterling", 1): {"£ 英镑": "1"},
}  # fmt: skip
_UNITS = {
    name: Measure((kind,), Fraction(factor))
    for kind, names in _NAMES.items()
    for group, factor in names.items()
    for name in group.split()
}
_SPEEDS = {"mph": "mi/h", "kmh": "km/h", "kph": "km/h", "kmph": "km/h"}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SCALE = re.compile(rf"\s*({'|'.join(_SCALES)})s?\b")
_ROUND = re.compile(r"[百千](?![克米瓦卡帕分])|[万亿]")
_ROUND_SCALES = {"百": 100, "千": 1000, "万": 10**4, "亿": 10**8}
_PERCENT = re.compile(r"\s*(?:%|percent|per cent|percentage points?)\s*")
_DEGREE = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\circ|°)\s*")
_TERM = re.compile(
    r"\s*(?:(?P<power>square|sq|cubic|平方|立方)\s*)?(?P<name>[A-Za-z]+|[\u4e00-\u9fff]+)\.?\s*"
    r"(?:\^?\{?(?P<exponent>[23])\}?)?\s*"
)
_PER = re.compile(r"\s*(?:/|per\b|an?\b|every\b|each\b|每)\s*")
# Words that change the value, so that the number before them is not the answer.
_MEANING = re.compile(
    r"\b(?:sqrt|times|plus|minus|over|divided|factorial|squared|cubed|choose|half|halves|thirds?|quarters?|fourths?|fifths?"
    r"|sixths?|eighths?|tenths?|hundredths?|thousandths?|and|or|than|to|through|until|of|remainder|if|mod|modulo|root|power"
    r"|less|not|fewer|above|below|least|most|pi|sin|cos|tan|log|ln|exp|after|before|when|where|either|both|but|except"
    r"|approximately|about)\b"
)
_ROUGHLY = re.compile(r"[或和至到余约]|以[上下内外]|左右|上下|不[到足等]|大概|分之|^\W*.?多(?![边项面])")
_COUNTERS = re.compile(
    r"[个只本位名张条块件支枝棵头辆次倍岁人朵颗套双盒箱瓶杯袋包页道间户台部艘架把根片株"
    r"层站组排节课场班箩粒碗盘]"
)


def scaled(rest: str) -> tuple[int, str]:
    """Return by how much `million`, `dozen`, 万 and the like after a number multiply it, and what follows them."""
    factor = 1
    while match := (_SCALE.match(rest) or _ROUND.match(rest)):
        factor *= _SCALES.get(match[1], 1) if match.re is _SCALE else _ROUND_SCALES[match[0]]
        rest = rest[match.end() :]
    return factor, rest


def measure_of(rest: str, *, glued: bool = True) -> Measure | Literal["percent"] | None:
    """Return the unit that the whole of `rest` is; None where it is something else.

    Parameters
    ----------
    rest : str
        What follows a number, with the space between them.
    glued : bool
        Whether a letter directly behind the number may be a unit at all; if it is one letter it is not certain.
    """
    if _PERCENT.fullmatch(rest):
        return "percent"
    if _DEGREE.fullmatch(rest):
        return _UNITS["°"]
    if not glued and rest[:1].isalpha():
        return None
    parts = _PER.split(_spelled_out(rest))
    measures = [_term(part) for part in parts]
    known = [measure for measure in measures if measure is not None]
    if not known or len(known) != len(parts) or len(parts) > 2:
        return _words(rest)
    certain = rest[:1].isspace() or len(rest.strip().rstrip("23^{}")) > 1 or not rest.strip().isascii()
    return _quotient(known, certain=certain)


def currency(sign: str) -> Measure | None:
    """Return what a sign before a number says."""
    return _UNITS.get(sign)


def _spelled_out(rest: str) -> str:
    word = rest.strip()
    return rest.replace(word, _SPEEDS[word]) if word in _SPEEDS else rest


def _term(text: str) -> Measure | None:
    match = _TERM.fullmatch(text)
    if match is None:
        return None
    unit = _unit(match["name"])
    power = {None: 1, "2": 2, "3": 3}[match["exponent"]]
    power = 2 if match["power"] in {"square", "sq", "平方"} else 3 if match["power"] else power
    return None if unit is None else _product([(unit, power)], certain=True)


def _unit(name: str) -> Measure | None:
    single = name[:-1] if len(name) > 3 and name.endswith("s") else name
    if name in {"fps", "mps"} or (len(name) == 1 and name.isascii() and name not in {"m", "g", "s", "h", "l", "L"}):
        return None
    return _UNITS.get(name) or _UNITS.get(single) or _UNITS.get(single.casefold() if len(single) > 2 else single)


def _quotient(parts: list[Measure], *, certain: bool) -> Measure:
    return _product([(part, -1 if at else 1) for at, part in enumerate(parts)], certain=certain)


def _product(parts: Iterable[tuple[Measure, int]], *, certain: bool) -> Measure:
    powers: dict[str, int] = {}
    factor = Fraction(1)
    for unit, power in parts:
        factor *= unit.factor**power
        for name, own in unit.dimension:
            powers[name] = powers.get(name, 0) + own * power
    return Measure(tuple(sorted((name, power) for name, power in powers.items() if power)), factor, certain)


def _words(rest: str) -> Measure | None:
    if (letter := re.fullmatch(r"\s+([NJWVAKCFΩ])", rest)) is not None:
        # Newtons, joules, ..., or a variable.
        return Measure(((f"word:{letter[1]}", 1),), Fraction(1), certain=False)
    if not (rest[:1].isspace() or "\u4e00" <= rest[:1] <= "\u9fff"):
        return None
    words = re.findall(r"[a-z]+|[\u4e00-\u9fff]+", rest.casefold())
    plain = re.fullmatch(r"[A-Za-z\u4e00-\u9fff .'-]{1,60}", rest) and len(words) <= 4
    if not plain or not words or _MEANING.search(rest.casefold()) or (words[0].isascii() and len(words[0]) < 3):
        return None
    if _ROUGHLY.search(rest):
        return None
    name = _COUNTERS.sub("", words[0], count=1) if not words[0].isascii() else words[0].rstrip("s")
    return Measure(((f"word:{name}", 1),), Fraction(1)) if name else Measure((), Fraction(1))
