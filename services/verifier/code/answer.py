"""The code of an answer: which block it is, in which language."""

from __future__ import annotations

import ast
import re
import textwrap
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from services.verifier.code.source import Unparsed, defined, free_names, parsed

_FENCE = re.compile(r"[ \t]*+(`{3,}+|~{3,}+)[ \t]*+([\w+#.-]*+)")
_OPEN_FENCE = re.compile(r"^[ \t]*+(?:`{3,}+|~{3,}+)[ \t]*+([\w+#.-]*+)[^\n]*+\n(.*)\Z", re.DOTALL | re.MULTILINE)
NAMES = {
    "python": "python", "py": "python", "python3": "python", "javascript": "javascript", "js": "javascript",
    "node": "javascript", "bash": "bash", "sh": "bash", "shell": "bash", "c": "c", "cpp": "cpp", "c++": "cpp",
    "cc": "cpp", "cxx": "cpp", "go": "go", "golang": "go", "java": "java", "rust": "rust", "rs": "rust",
}  # fmt: skip
_SHORTEST_FENCE = 3
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign)
_SIGNS = (
    ("go", re.compile(r"^package main\b", re.MULTILINE)),
    ("java", re.compile(r"\bpublic static void main\b")),
    ("rust", re.compile(r"^[^\S\n]*+fn main\(\)", re.MULTILINE)),
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

    Of several fenced blocks the last one counts that defines `entry_point`, else the longest in the language; the whole
    text counts where there is no fence. Python that uses what only the blocks before it define comes with these.

    Parameters
    ----------
    response : str
    language : str, optional
        The language that is wanted; without it, that of the fence, or what the text looks like.
    entry_point : str, optional
        The name to be defined.
    """
    response = response.replace("\r\n", "\n")
    blocks = list(_closed(response)) or _OPEN_FENCE.findall(response)
    if not blocks:
        response = response.removeprefix("\ufeff")
        return Code(response, language or guessed(response)) if response.strip() else None
    texts = [(_named(info), _dedented(text)) for info, text in blocks]
    found = [Code(text, name or guessed(text)) for name, text in texts]
    fitting = [each for each in found if language in {None, each.language}] or (found if language is None else [])
    if not fitting:
        return None
    name = entry_name(entry_point) if entry_point else ""
    defining = [each for each in fitting if name and _defines(name).search(each.text)]
    chosen = defining[-1] if defining else max(fitting, key=lambda each: len(each.text))
    return _with_helpers(chosen, fitting[: fitting.index(chosen)]) if chosen.language == "python" else chosen


def _closed(response: str) -> Iterator[tuple[str, str]]:
    """Yield name and content of each block whose last line is as many signs as its first begins with, or fewer."""
    lines = response.split("\n")
    closing: dict[tuple[str, int], list[int]] = {}
    for at, line in enumerate(lines):
        bare = line.strip(" \t")
        if len(bare) >= _SHORTEST_FENCE and bare[0] in "`~" and not bare.strip(bare[0]):
            closing.setdefault((bare[0], len(bare)), []).append(at)
    at = 0
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        signs = opening[1] if opening else ""
        for length in range(len(signs), _SHORTEST_FENCE - 1, -1):
            ends = closing.get((signs[0], length), [])
            place = bisect_right(ends, at)
            if opening and place < len(ends):
                # Of a longer first line the signs that are left over are no name.
                named = opening[2] if length == len(signs) else ""
                yield named, "".join(f"{line}\n" for line in lines[at + 1 : ends[place]])
                at = ends[place]
                break
        at += 1


def entry_name(entry_point: str) -> str:
    """Return the name that an entry point such as `Solution().twoSum` begins with."""
    match = re.match(r"\w+", entry_point)
    return match[0] if match else entry_point


def _defines(name: str) -> re.Pattern[str]:
    name = re.escape(name)
    return re.compile(
        rf"\b(?:def|class|function|func|fn)\s+{name}\b|^[^\S\n]*+(?:(?:const|let|var)\s*+)?{name}\s*=", re.MULTILINE
    )


def _named(info: str) -> str:
    return NAMES.get(info.casefold(), info.casefold())


def _dedented(text: str) -> str:
    # A block inside a list item is indented as a whole.
    return textwrap.dedent(text.removeprefix("\ufeff"))


def _with_helpers(chosen: Code, before: list[Code]) -> Code:
    try:
        tree = parsed(chosen.text)
    except Unparsed:
        return chosen
    missing, helpers = free_names([tree]), []
    for each in before:
        try:
            helper = parsed(each.text)
        except Unparsed:
            continue
        if missing & defined(helper) and all(isinstance(node, _DEFINITIONS) for node in helper.body):
            helpers.append(each.text)
    return Code("\n".join([*helpers, chosen.text]), chosen.language) if helpers else chosen


def guessed(text: str) -> str:
    """Return the language that a text without a name looks like; Python where nothing else shows."""
    return next((name for name, sign in _SIGNS if sign.search(text)), "python")
