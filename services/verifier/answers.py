"""The final answer of a worked solution, and its comparison as far as that goes without algebra."""

from __future__ import annotations

import re
from dataclasses import dataclass

from limoflow.worked.arithmetic import NUMBER
from services.verifier.answer.shapes import compare

_MARK = re.compile(r"####[^\S\n]{0,20}([^\n]+)")
_SPACE = r"[^\S\n]{0,20}"
_STATED = re.compile(
    rf"(?:\banswers?{_SPACE}(?:to (?:the|this) (?:question|problem){_SPACE})?\**{_SPACE}"
    rf"(?:is|are|would be|will be|should be|=|:)(?:{_SPACE}(?:therefore|thus|then|equal to)\b)?"
    rf"|\b(?:correct|right|best){_SPACE}(?:option|choice|alternative){_SPACE}(?:is|:)"
    rf"|(?:故|应|因此|所以|因而|答案)?选(?:项|择)?(?:是|为|：|:)?{_SPACE}(?=[（(]?[A-H]{{1,8}}(?:[）)。.，,；;\s]|$))"
    rf"|(?:答案|答)(?:应该|应)?(?:\**{_SPACE})?(?:是|为|等于|：|:)|(?:最终|最后)的?(?:结果|答案)(?:是|为|：|:|等于)|结果(?:是|为|等于|：|:))"
    rf"{_SPACE}[:：]?\**{_SPACE}(?=([^\n]{{1,2000}}))",
    re.IGNORECASE,
)
_TAGGED = re.compile(r"<(answer|final_answer)>([^<>]++)</\1>", re.IGNORECASE)
_ON_THE_NEXT_LINE = re.compile(
    r"(?:\banswer(?: is)?|答案(?:是|为)?)[^\S\n]{0,4}\**[:：][^\S\n]{0,4}\**\n{1,3}([^\n]+)", re.IGNORECASE
)
_BOX = re.compile(r"\\f?boxed?(?![A-Za-z])\s{0,4}(?:\{|([A-Za-z0-9])(?![A-Za-z0-9]))|\\fbox\s{0,4}\{")
_BETWEEN_BOXES = re.compile(r"[\s$]*(?:,|;|and|or|,\s*and|,\s*or|和|或|、|以及)?[\s$]*")
_SIGNED = re.compile(rf"(?<![\w.])([-−]?)\s{{0,4}}[$€£¥￥]?\s{{0,4}}(-?)({NUMBER})(?!\d)\s{{0,4}}(%|％)?")
_SPACED = re.compile(r"(?<=\d)[ \u00a0](?=\d{3}\b)")
_REASON = re.compile(r"(?:[,;]|(?<!\s))\s++(?:because|since)\b|,\s++(?:which|as)\b|(?:[，,]|(?<!\s))\s*+(?:因为|由于)")
_SENTENCE_END = re.compile(r"(?<![.\d])\.(?=\s|$)|(?<=\d)\.(?=\s|$)|[。；！]|;\s")
_YES_OR_NO = re.compile(r"(yes|no|true|false|是的?|不是|否|不对|对|正确|错误)(?=[,.，。！!;；:*\s]|$)", re.IGNORECASE)
_NUMBER = re.compile(rf"-?{NUMBER}")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_SUBJECT = re.compile(r"[\u4e00-\u9fff，、\s]{2,40}")
_ROUGHLY = re.compile(
    r"约|左右|超过|不[到足等是会能]|至[少多]|最[多少]|大于|小于|多于|少于|以[上下内外]|接近|几|第|没有|或|每|[二三四五六七八九两]|一(?![共起样定])"
)
_LONGEST_BOX = 2000
_LONGEST_TAGGED = 400
_MOST_MARKS = 20
_TAIL = 400


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The final answer as text; `marked` tells whether the solution says that it is one."""

    text: str
    marked: bool


def final_answer(response: str) -> FinalAnswer | None:
    r"""Return the last answer marked by `####`, `\boxed{}`, `The answer is`, `答案是`; else the last number."""
    marked = [
        found
        for found in (_hashes(response), _boxes(response), _stated(response), _tagged(response))
        if found is not None
    ]
    if marked:
        return FinalAnswer(max(marked)[1], marked=True)
    stripped = response.strip()
    if 0 < len(stripped) <= 40 and "\n" not in stripped and not re.search(r"[A-Za-z]{2}.* .*[A-Za-z]{2}", stripped):
        return FinalAnswer(stripped, marked=True)
    numbers = [match[0].strip() for match in _SIGNED.finditer(_SPACED.sub("", stripped[-_TAIL:]))]
    return FinalAnswer(numbers[-1], marked=False) if numbers else None


def yes_or_no(response: str) -> FinalAnswer | None:
    """Return the yes or no, in English or Chinese, that a response begins with; None for another beginning."""
    match = _YES_OR_NO.match(response.lstrip("*_ \n"))
    return FinalAnswer(match[1], marked=True) if match else None


def same(gold: str, found: str) -> bool | None:
    """Compare two answers without algebra: True, False, or None where that takes more, or is not certain."""
    return compare(gold, found, lambda _gold, _found: None)


def needs_algebra(gold: str, found: str) -> bool:
    """Tell whether a comparison has come to a formula, so that math-verify may know more."""
    asked = False

    def algebra(_gold: str, _found: str) -> None:
        nonlocal asked
        asked = True

    return compare(gold, found, algebra) is None and asked


def _hashes(text: str) -> tuple[int, str] | None:
    marks = list(_MARK.finditer(text))
    return (marks[-1].start(), _bare(marks[-1][1].strip())) if marks else None


def _tagged(text: str) -> tuple[int, str] | None:
    inside = ((match.start(), match[2].strip() or match[2][-1]) for match in _TAGGED.finditer(text))
    marks = [(at, answer) for at, answer in inside if len(answer) <= _LONGEST_TAGGED]
    return (marks[-1][0], _bare(marks[-1][1])) if marks else None


def _boxes(text: str) -> tuple[int, str] | None:
    found: list[tuple[int, int, str]] = []
    for match in list(_BOX.finditer(text))[-_MOST_MARKS:]:
        if match[1]:
            found.append((match.start(), match.end(), match[1]))
        elif (end := _closing(text, match.end())) is not None:
            found.append((match.start(), end + 1, text[match.end() : end].strip()))
    if not found:
        return None
    # "\boxed{2} and \boxed{3}" is one answer of two parts.
    parts, at = [found[-1][2]], found[-1][0]
    for start, end, inside in reversed(found[:-1]):
        between = text[end:at]
        if not between.strip(" \n$") or len(between) > 40 or not _BETWEEN_BOXES.fullmatch(between):
            break
        parts, at = [inside, *parts], start
    return found[-1][0], ", ".join(parts)


def _closing(text: str, begin: int) -> int | None:
    depth = 1
    for at in range(begin, min(len(text), begin + _LONGEST_BOX)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return at
    return None


def _stated(text: str) -> tuple[int, str] | None:
    found = [
        (match.start(), answer)
        for pattern in (_STATED, _ON_THE_NEXT_LINE)
        for match in list(pattern.finditer(text))[-_MOST_MARKS:]
        if (answer := _first_sentence(match[1]))
    ]
    return max(found) if found else None


def _bare(text: str) -> str:
    boxed = _boxes(text)
    return boxed[1] if boxed is not None else text


def _first_sentence(text: str) -> str:
    sentence = _SENTENCE_END.split(text.strip(), maxsplit=1)[0].strip().strip("*_`").strip()
    return _of_sentence(_REASON.split(sentence, maxsplit=1)[0].strip() or sentence)


def _of_sentence(text: str) -> str:
    """Return the number with its unit of a Chinese sentence that names just one, and not roughly or in comparison."""
    numbers = list(_NUMBER.finditer(text))
    if len(numbers) != 1 or not _HAN.match(text) or _ROUGHLY.search(text):
        return text
    return text[numbers[0].start() :].strip() if _SUBJECT.fullmatch(text[: numbers[0].start()]) else text
