"""The final answer of a worked solution, and exact comparison where both sides are plain numbers or words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from limoflow.worked.arithmetic import NUMBER
from services.verifier.exact import agree, read

_MARK = re.compile(r"####\s*([^\n]+)")
_STATED = re.compile(
    r"(?:\b(?:final\s+)?answer\s*(?:is|:|=|：)|答案(?:是|为|为：|是：|：|:)|(?:最终|最后)?结果(?:是|为|：|:))\s*[:：]?\s*([^\n]+)",
    re.IGNORECASE,
)
_SIGNED = re.compile(rf"(?<![\w.])([-−]?)\s*[$€£¥￥]?\s*(-?)({NUMBER})(?!\d)\s*(%|％)?")
_CHOICE = re.compile(r"^(?:\(([A-H])\)|([A-H])[.:、)]|([A-H])$)")
_FORMULA = re.compile(r"[\d+*/=<>|^_{}\[\]()\\√π∞∪∩≤≥≠×÷−]|(?:^|\s)-|(?<![A-Za-z])[A-Za-z](?![A-Za-z])")
_TEXT = re.compile(r"\\(?:text|mathrm|textbf)\s*\{([^{}]*)\}")
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


def same(gold: str, found: str) -> bool | None:
    """Compare two answers without algebra: True, False, or None where that takes more than numbers and words."""
    left, right = read(gold), read(found)
    if left is not None and right is not None:
        return agree(left, right)
    choice, chosen = _CHOICE.match(gold.strip()), _CHOICE.match(found.strip())
    if choice and chosen:
        return choice[choice.lastindex or 0] == chosen[chosen.lastindex or 0]
    gold, found = _TEXT.sub(r"\1", gold), _TEXT.sub(r"\1", found)
    first, second = _words(gold), _words(found)
    if first and second and not any(_FORMULA.search(text) for text in (gold, found)):
        return first == second
    # Signs and brackets carry the meaning of a formula, so nothing less than the same text is the same.
    return True if gold.split() == found.split() and gold.strip() else None


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold()))
