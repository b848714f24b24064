"""The final answer of a worked solution, and exact comparison where both sides are plain numbers or words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from limoflow.worked.arithmetic import NUMBER, ExpressionError, decimals_of, to_fraction

_MARK = re.compile(r"####\s*([^\n]+)")
_STATED = re.compile(
    r"(?:\b(?:final\s+)?answer\s*(?:is|:|=|：)|答案(?:是|为|为：|是：|：|:)|(?:最终|最后)?结果(?:是|为|：|:))\s*[:：]?\s*([^\n]+)",
    re.IGNORECASE,
)
_SIGNED = re.compile(rf"(?<![\w.])([-−]?)\s*[$€£¥￥]?\s*(-?)({NUMBER})(?!\d)\s*(%|％)?")
_RATIO = re.compile(rf"(?<![\w./])(-?)({NUMBER})\s*/\s*({NUMBER})(?![\w/])")
_MATH = re.compile(r"\\[A-Za-z]|[\^_{}=√π∞∪∩≤≥]|\d\s*[A-Za-z](?![a-z])|\([^)]*,[^)]*\)|\[[^\]]*,")
_OPERATION = re.compile(r"[-+*/=<>|!×÷]")
_CHOICE = re.compile(r"^\(?([A-H])\)?[.:、)]?(?:\s|$)")
_SPACED = re.compile(r"(?<=\d)[ \u00a0](?=\d{3}\b)")


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The final answer as text; `marked` tells whether the solution says that it is one."""

    text: str
    marked: bool


def final_answer(response: str) -> FinalAnswer | None:
    r"""Return the last answer marked by `####`, `\boxed{}`, `The answer is`, `答案是`; else the last number."""
    if marks := _MARK.findall(response):
        return FinalAnswer(marks[-1].strip(), marked=True)
    if (boxed := _last_boxed(response)) is not None:
        return FinalAnswer(boxed, marked=True)
    if stated := _STATED.findall(response):
        return FinalAnswer(_first_sentence(stated[-1]), marked=True)
    stripped = response.strip()
    if 0 < len(stripped) <= 40 and "\n" not in stripped and not re.search(r"[A-Za-z]{2}.* .*[A-Za-z]{2}", stripped):
        return FinalAnswer(stripped, marked=True)
    numbers = [match[0].strip() for match in _SIGNED.finditer(_SPACED.sub("", stripped[-400:]))]
    return FinalAnswer(numbers[-1], marked=False) if numbers else None


def _last_boxed(text: str) -> str | None:
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    begin = text.index("{", start) + 1
    depth = 1
    for at in range(begin, min(len(text), begin + 2000)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[begin:at].strip()
    return None


def _first_sentence(text: str) -> str:
    return (
        re.split(r"(?<!\d)\.(?=\s|$)|(?<=\d)\.(?=\s|$)|[。；;！]", text.strip(), maxsplit=1)[0]
        .strip()
        .strip("*_`")
        .strip()
    )


def plain_number(text: str) -> tuple[Fraction, int, bool] | None:
    """Return the one number of a short answer with its decimals and whether it is a percentage; None if unsure."""
    text = _SPACED.sub("", unicodedata.normalize("NFKC", text).strip().strip("*_`").strip("$").strip())
    text = text.replace("\\$", "$").replace("\\%", "%").replace("\\ ", " ").replace("\\!", "")
    if len(text) > 80 or _MATH.search(text):
        return None
    try:
        ratio = _RATIO.fullmatch(text)
        if ratio:
            bottom = to_fraction(ratio[3])
            value = to_fraction(ratio[2]) / bottom if bottom else None
            return None if value is None else (-value if ratio[1] else value, 0, False)
        numbers = list(_SIGNED.finditer(text))
        if len(numbers) != 1 or _OPERATION.search(_SIGNED.sub("", text)):
            return None
        match = numbers[0]
        value = to_fraction(match[3])
        return (-value if match[1] or match[2] else value, decimals_of(match[3]), bool(match[4]))
    except ExpressionError:
        return None


def same(gold: str, found: str) -> bool | None:
    """Compare two answers without algebra: True, False, or None where that takes more than numbers and words."""
    left, right = plain_number(gold), plain_number(found)
    if left is not None and right is not None:
        return _numbers_agree(left, right)
    first, second = _words(gold), _words(found)
    if first == second and first:
        return True
    choice, chosen = _CHOICE.match(gold.strip()), _CHOICE.match(found.strip())
    if choice and chosen:
        return choice[1] == chosen[1]
    if not any(character.isdigit() for character in gold + found) and not _MATH.search(gold + found):
        return False if first and second else None
    return None


def _numbers_agree(left: tuple[Fraction, int, bool], right: tuple[Fraction, int, bool]) -> bool:
    gold, gold_places, gold_percent = left
    found, found_places, found_percent = right
    if gold == found:
        return True
    if gold_percent != found_percent and (gold == found * 100 or gold * 100 == found):
        return True
    places = min(gold_places, found_places) if gold_places and found_places else max(gold_places, found_places)
    rounded = places >= 2 and (gold.denominator != 1 and found.denominator != 1)
    return rounded and abs(gold - found) <= Fraction(1, 2 * 10**places)


def _words(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+", folded))
