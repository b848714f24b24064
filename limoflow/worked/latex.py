r"""Arithmetic in LaTeX on one line of plain signs, of the same length, so that places in the text stay."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from limoflow.worked.arithmetic import NUMBER

_PLAIN = rf"\s*-?\s*{NUMBER}\s*"
_GROUPED = re.compile(r"\d{1,3}(?:\{,\}\d{3})+(?:\.\d+)?")
_AFTER_EQUALS = re.compile(rf"(?<==)(\s*-?\s*)\\[dt]?frac\s*\{{({_PLAIN})\}}\{{({_PLAIN})\}}")
_FRACTION = re.compile(rf"\\[dt]?frac(\s*)\{{([\d\s.,+*()-]{{1,60}})\}}\{{({_PLAIN})\}}")
_SIGNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\\\\(?:\[[^\]\n]{0,12}\])?"), "\n"),
    (re.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])"), "*"),
    (re.compile(r"\\div(?![A-Za-z])"), "/"),
    (re.compile(r"\\(?=[$%])"), ""),
    (re.compile(r"\\(?:text|mathrm|mbox|textrm)\s*\{[^{}\d]{0,40}\}(?:\s*\^\s*(?:[23]|\{[23]\}))?"), ""),
    (re.compile(r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})"), ""),
    (
        re.compile(
            r"\\(?:left|right|displaystyle|[Bb]ig[lr]?|quad|qquad)(?![A-Za-z])|\\[,;:! ()\[\]]|&(?=\s*=)|(?<==)&"
        ),
        "",
    ),
)


def plain(text: str) -> str:
    r"""Return a text with `\times`, `\frac{1}{2}`, `1{,}000` and the like as signs that `worked.steps` reads.

    What is no arithmetic keeps its commands, and so is passed over there.
    """
    if "\\" not in text and "{,}" not in text:
        return text
    text = _GROUPED.sub(_padded(lambda match: match[0].replace("{,}", ",")), text)
    for pattern, sign in _SIGNS:
        text = pattern.sub(partial(_as_long, sign), text)
    text = _AFTER_EQUALS.sub(_padded(lambda match: f"{match[1]}{match[2].strip()}/{match[3].strip()}"), text)
    return _FRACTION.sub(_padded(lambda match: f"(({match[2]})/{match[3].strip()})"), text)


def _as_long(sign: str, match: re.Match[str]) -> str:
    return sign.ljust(len(match[0]))


def _padded(made: Callable[[re.Match[str]], str]) -> Callable[[re.Match[str]], str]:
    return lambda match: made(match).ljust(len(match[0]))
