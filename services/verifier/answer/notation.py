"""One way to write what can be written in several: LaTeX, Unicode and plain keyboards."""

from __future__ import annotations

import re
import unicodedata

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_SUPERSCRIPT = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_SUBSCRIPT = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
_VULGAR = re.compile("[¼½¾⅐-⅞]")
_SIGNS = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "∞": "\\infty ",
        "π": "\\pi ",
        "θ": "\\theta ",
        "∪": "\\cup ",
        "∩": "\\cap ",
        "∅": "\\emptyset ",
    }
    | {"≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "∗": "*"}
    | {"÷": "\\div ", "±": "\\pm ", "∈": "\\in ", "ℝ": "\\mathbb{R}", "⁄": "/", "⩽": "\\le ", "⩾": "\\ge "}
)
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|(\d+(?:\.\d+)?|[A-Za-z]))|√")
_DROPPED = re.compile(r"\\(?:left|right|bigl?|bigr|Bigl?|Bigr|displaystyle|limits)(?![A-Za-z])|(?<!\\)\\[!;: ]|(?<=.)~")
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|\\,|[ \u00a0\u202f])(?=\d{3}(?!\d))")
_SAME = (
    (r"\\varnothing", r"\\emptyset"),
    (r"\\leq(?:slant)?", r"\\le"),
    (r"\\geq(?:slant)?", r"\\ge"),
    (r"\\neq", r"\\ne"),
    (r"\\[dtc]frac", r"\\frac"),
    (r"(?<![\\A-Za-z])pi", r"\\pi "),
    (r"\\degree", r"^\\circ"),
    (r"\\lbrace", r"\\{"),
    (r"\\rbrace", r"\\}"),
)
_COMMANDS = tuple((re.compile(written + "(?![A-Za-z])"), meant) for written, meant in _SAME)
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf|operatorname|mbox|textit)\s*\{([^{}]*)\}")
# Between dollar signs, not behind one: "$x=3$ or $x=-1$", but not "$5 or $6".
_IN_DOLLARS = re.compile(r"(?<!\\)\$(\s*[A-Za-z\\(\[{][^$]{0,200})(?<!\\)\$")
_ARRAY = re.compile(
    r"(?:\\left)?\s*[(\[]\s*\\begin\s*\{array\}\s*\{[lcr|\s]*\}(.*?)\\end\s*\{array\}\s*(?:\\right)?\s*[)\]]", re.DOTALL
)
_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("\\boxed{", "}"), ("\\fbox{", "}"))


def tidied(text: str) -> str:
    r"""Return the text with one sign for each thing: `\frac`, `^{2}` for a superscript, no `$...$` around it.

    What changes the meaning is kept: brackets, signs, subscripts, the case of letters.
    """
    text = _VULGAR.sub(lambda match: f" {unicodedata.normalize('NFKC', match[0])} ", text)
    text = _SUPERSCRIPT.sub(lambda match: "^{" + "".join(map(_SUPERSCRIPTS.__getitem__, match[0])) + "}", text)
    text = _SUBSCRIPT.sub(lambda match: "_{" + "".join(map(_SUBSCRIPTS.__getitem__, match[0])) + "}", text)
    text = unicodedata.normalize("NFKC", text.replace("ℝ", "\\mathbb{R}")).translate(_SIGNS)
    text = _ROOT.sub(_root, text)
    text = _unwrapped(text.strip().strip("*_`").strip())
    text = _IN_DOLLARS.sub(r"\1", text) if text.count("$") > 1 else text
    text = _ARRAY.sub(lambda match: f"\\begin{{bmatrix}}{match[1]}\\end{{bmatrix}}", text)
    text = _DROPPED.sub(lambda match: " " if match[0][-1] in " ;:~" else "", text)
    text = _TEXT.sub(r" \1 ", _THOUSANDS.sub("", text)).replace("\\,", " ")
    for written, meant in _COMMANDS:
        text = written.sub(meant, text)
    text = text.replace("\\%", "%").replace("\\$", "$")
    text = re.sub(r"\s+", " ", text).strip()
    return text if text.endswith("..") else text.rstrip(".。").strip()


def _root(match: re.Match[str]) -> str:
    inside = match[1] or match[2]
    return f"\\sqrt{{{inside}}}" if inside else "\\sqrt"


def _unwrapped(text: str) -> str:
    for opening, closing in (*_WRAPPERS, *_WRAPPERS):
        inside = text[len(opening) : -len(closing)]
        if len(text) > len(opening) + len(closing) - 1 and text.startswith(opening) and text.endswith(closing):
            text = inside.strip() if _closes_only_at_the_end(inside, opening) else text
    return text


def _closes_only_at_the_end(inside: str, opening: str) -> bool:
    if opening[0] == "$":
        return "$" not in inside.replace("\\$", "")
    return inside.count(opening[-1]) == inside.count({"{": "}", "(": ")", "[": "]"}[opening[-1]])


def outside_brackets(text: str) -> str:
    r"""Return the text with everything inside brackets and environments replaced by `\0`, of the same length."""
    depth, shown = 0, []
    for at, sign in enumerate(text):
        closes = sign in ")]}" and depth > 0
        depth -= closes
        shown.append(sign if depth == 0 else "\0")
        depth += sign in "([{" or text.startswith("\\begin", at)
        depth -= text.startswith("\\end", at) and depth > 0
    return "".join(shown)
