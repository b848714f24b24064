"""The code of an answer: which block it is, in which language."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_OPEN_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*\n(.*)\Z", re.DOTALL | re.MULTILINE)
NAMES = {
    "python": "python", "py": "python", "python3": "python", "javascript": "javascript", "js": "javascript",
    "node": "javascript", "bash": "bash", "sh": "bash", "shell": "bash", "c": "c", "cpp": "cpp", "c++": "cpp",
    "cc": "cpp", "cxx": "cpp", "go": "go", "golang": "go", "java": "java", "rust": "rust", "rs": "rust",
}  # fmt: skip
_SIGNS = (
    ("go", re.compile(r"^package main\b", re.MULTILINE)),
    ("java", re.compile(r"\bpublic static void main\b")),
    ("rust", re.compile(r"^\s*fn main\(\)", re.MULTILINE)),
    ("cpp", re.compile(r"#include\s*<(?:iostream|vector|string|algorithm|bits/)|\busing namespace\b")),
    ("c", re.compile(r"^#include\s*[<\"]", re.MULTILINE)),
    ("bash", re.compile(r"\A#!.*\b(?:ba)?sh\b")),
    ("javascript", re.compile(r"\bconsole\.log\(|\brequire\(|^(?:const|let|var|function)\s", re.MULTILINE)),
)


@dataclass(frozen=True, slots=True)
class Code:
    """Source text and its language: one of the values of `NAMES`, or a name that is not served."""

    text: str
    language: str


def code_of(response: str, language: str | None = None, entry_point: str | None = None) -> Code | None:
    """Return the code of an answer; None where it has only prose.

    Of several fenced blocks that one counts which defines `entry_point`, else the longest in the language; the whole
    text counts where there is no fence.

    Parameters
    ----------
    response : str
    language : str, optional
        The language that is wanted; without it, that of the fence, or what the text looks like.
    entry_point : str, optional
        The name to be defined.
    """
    blocks = [(info, text) for _, info, text in _FENCE.findall(response)] or _OPEN_FENCE.findall(response)
    if not blocks:
        return Code(response, language or guessed(response)) if response.strip() else None
    found = [Code(text, NAMES.get(info.casefold(), info.casefold()) or guessed(text)) for info, text in blocks]
    fitting = [each for each in found if language in {None, each.language}] or (found if language is None else [])
    if not fitting:
        return None
    defining = [each for each in fitting if entry_point and re.search(rf"\b{re.escape(entry_point)}\b", each.text)]
    return max(defining or fitting, key=lambda each: len(each.text))


def guessed(text: str) -> str:
    """Return the language that a text without a name looks like; Python where nothing else shows."""
    return next((name for name, sign in _SIGNS if sign.search(text)), "python")
