"""The arithmetic steps of a worked answer: `<<48/2=24>>` notes and plain `a op b = c`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from limoflow.worked.arithmetic import NUMBER, canonical

NOTE = re.compile(r"<<([^<>=]{1,400})=\s*([^<>=]{1,100})>>")
# Possessive where one run of spaces could be shared out among several parts in as many ways as it is long.
FINAL = re.compile(rf"####\s*+[$€£¥￥]?\s*+(-?{NUMBER})")
_BROKEN_NOTE = re.compile(r"<<[^>]{0,400}>>")
_LEFT = re.compile(r"[\d.,+\-*/^()%$€£¥￥ ]+$")
_RIGHT = re.compile(rf"\s*+[$€£¥￥]?\s*+(-?)\s*+[$€£¥￥]?({NUMBER})")
_RIGHT_EXPRESSION = re.compile(r"[\s\d.,+\-*/^()%$€£¥￥]+")
_STATED = re.compile(rf"\s*(-?)\s*[$€£¥￥]?\s*({NUMBER})\s*(%?)[\s.]*$")
_OPERATOR = re.compile(r"[\d)%.]\s*(?:\*\*|[-+*/^])\s*[-$€£¥￥(.\d]")
_LIST_MARK = re.compile(r"^\s*\d{1,2}[.)]\s+")
_NOT_PLAIN = re.compile(
    r"[A-Za-z_](?![A-Za-z])|\s*+\(?\s*+mod|\s*(?:R\b|r\b|rem|余|…|:\d|/|!|\^|\\)|\s\d{3}\b|\s*[A-Za-z]\s*[-+*/=]"
)
_LABEL = re.compile(
    r"(?:\b(?:and|of|plus|minus|times|by|over|less|day|week|month|year|step|round|part|group|team|game|page|number)s?\s"
    r"|\b(?:sin|cos|tan|log|ln|mod|sqrt)\s|\\[A-Za-z]+\s|加|减|乘|除以|的|第)\s*$",
    re.IGNORECASE,
)
_LEADING_ZERO = re.compile(r"(?<![\d.,])0\d")
_REACH = 200


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a worked answer.

    Attributes
    ----------
    expression : str
        What is computed, in `+ - * / ^ ( ) %`.
    stated : str
        The number that the answer claims, with its sign.
    alternative : str
        The whole right-hand side where it is an expression itself, as in `2/4 = 1/2`; else empty.
    span, expression_span, stated_span : tuple of int
        Where the step, its expression and the claimed number lie in the text.
    note : bool
        Whether it is a `<<...>>` note.
    """

    expression: str
    stated: str
    alternative: str
    span: tuple[int, int]
    expression_span: tuple[int, int]
    stated_span: tuple[int, int]
    note: bool


def notes(text: str) -> Iterator[Step]:
    """Yield the readable `<<expression=value>>` notes, in order."""
    for match in NOTE.finditer(text):
        stated = _STATED.fullmatch(match[2])
        if stated is None or not any(sign in canonical(match[1]) for sign in "+-*/^%"):
            continue
        start = match.start(2)
        yield Step(
            canonical(match[1]).strip(),
            stated[1] + stated[2],
            f"{stated[1]}{stated[2]}%" if stated[3] else "",
            match.span(),
            match.span(1),
            (start + stated.start(2), start + stated.end(2)),
            note=True,
        )


def plain_steps(text: str) -> Iterator[Step]:
    """Yield steps written as `a op b = c` outside notes, only where it is certain what they say.

    Algebra (`2x + 1 = 5`), clock times, remainders and lines with words inside the expression are passed over.
    """
    blanked = canonical(_BROKEN_NOTE.sub(lambda match: " " * len(match[0]), text))
    at = blanked.find("=")
    while at >= 0:
        step = _plain_step(blanked, at)
        if step is not None:
            yield step
        at = blanked.find("=", at + 1)


def _plain_step(text: str, at: int) -> Step | None:
    if text[max(0, at - 1)] in "=<>!:~" or text[at + 1 : at + 2] in {"=", ">"}:
        return None
    left = _left_side(text, at)
    right = _RIGHT.match(text, at + 1)
    if left is None or right is None or (_NOT_PLAIN.match(text, right.end()) and not _fraction(text, right.end())):
        return None
    rest = _RIGHT_EXPRESSION.match(text, at + 1)
    expression = rest[0].strip(" \n\t.,") if rest else ""
    if expression[-1:] in "+-*/^" or _LEADING_ZERO.search(text[left[0] : left[1]]):
        return None
    return Step(
        text[left[0] : left[1]],
        right[1] + right[2],
        expression if (expression != right[2] and _OPERATOR.search(expression)) or expression.endswith("%") else "",
        (left[0], right.end()),
        left,
        right.span(2),
        note=False,
    )


def _fraction(text: str, at: int) -> bool:
    return re.match(r"\s*/\s*\d", text[at : at + 8]) is not None


def _left_side(text: str, at: int) -> tuple[int, int] | None:
    reach = max(0, at - _REACH)
    start = max(text.rfind("=", reach, at) + 1, text.rfind("\n", reach, at) + 1, reach)
    match = _LEFT.search(text[start:at])
    if match is None:
        return None
    begin = start + match.start()
    if ", " in text[begin:at].strip(" ,"):
        return None
    mark = _LIST_MARK.match(text[begin:at])
    if mark is not None:
        begin += mark.end()
    while begin < at and text[begin] in " ,.)":
        if text[begin] == "." and text[begin + 1 : begin + 2].isdigit():
            break
        if text[begin] == ")" and not text[begin + 1 : begin + 2].isspace():
            return None
        begin += 1
    before = text[begin - 1] if begin else " "
    side = text[begin:at].rstrip()
    starts_inside = (before.isalnum() and not _is_wide(before)) or before in "_\\}:^!'\"&#@|"
    if starts_inside or not side or side[0] in "+*/^%" or not _OPERATOR.search(side):
        return None
    behind = text[max(0, begin - _REACH) : begin].rstrip()[-1:]
    if (side[0] == "-" and (behind.isalnum() or behind == ")")) or _LABEL.search(text[max(0, begin - 12) : begin]):
        return None
    return begin, begin + len(side)


def _is_wide(character: str) -> bool:
    return ord(character) >= 0x2E80
