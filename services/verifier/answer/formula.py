"""What may be handed to math-verify: it reads past what it does not know, so the doubtful is kept from it."""

from __future__ import annotations

import re

from services.verifier.answer.measures import measure_of

_FUNCTIONS = "sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln|exp|sqrt|pi|max|min|gcd|lcm|mod|det"
_COMMANDS = re.compile(
    rf"{_FUNCTIONS}|frac|cdot|times|div|infty|cup|cap|setminus|in|le|ge|ne|lt|gt|mathbb|emptyset|binom|lfloor|rfloor|lceil"
    "|rceil|alpha|beta|gamma|delta|epsilon|varepsilon|theta|lambda|mu|nu|rho|sigma|tau|phi|varphi|omega|Omega|Delta|Gamma"
    "|circ|begin|end|sum|prod|int|lim|to|bmod|lvert|rvert|mid|vert|quad"
)
_WORDS = re.compile(rf"{_FUNCTIONS}|[A-Za-z]{{1,3}}")
_PROSE = re.compile(
    r"\b(?:of|the|and|for|per|are|is|was|has|had|but|not|out|all|one|two|six|ten|cup|men|man|day|box|egg|pen|car|cat|dog|bag"
    r"|cow|hen|pie|jar|can|bus|boy|old|odd|way|won|yen)\b"
)
_CALLED = re.compile(r"(?<![A-Za-z\\])[A-Z]\s*\(\s*\d+\s*,")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{[pbvVB]?(?:small)?matrix\}|\\mathbb\s*\{[A-Z]\}|\\sqrt")
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_READABLE = re.compile(r"[A-Za-z0-9\s+\-*/^_=<>(){}\[\],.|!&\\°%]*")
_DANGLING = re.compile(r"[+\-*/^_=<>\\]\s*$|^\s*[*/^_=<>,.&)\]}]|[+*/^_=]\s*[*/^_=,)\]}]|\.\.|--|\+-|-\+|\+\+")
_TRANSPOSED = re.compile(r"\^\s*\{?\s*(?:T|\\top|\\prime)\b|[0-9]\s*_")
_LONG_POWER = re.compile(r"\^(-?\d{2,})")
_UNIT = re.compile(r"(?P<formula>.*\S)(?P<unit>\s+[A-Za-z/]+(?:\s*\^\s*\{?[23]\}?)?)$", re.DOTALL)


def formula_of(text: str) -> str | None:
    """Return a tidied text as LaTeX for a computer algebra system; None where it might say more than that reads."""
    text = _LONG_POWER.sub(r"^{\1}", text)
    bare = _ENVIRONMENT.sub(" ", text).replace("\\\\", " ")
    known = all(map(_COMMANDS.fullmatch, _COMMAND.findall(bare)))
    known = (
        known
        and not _PROSE.search(bare)
        and all(map(_WORDS.fullmatch, re.findall(r"[A-Za-z]+", _COMMAND.sub(" ", bare))))
    )
    doubtful = any(pattern.search(text) for pattern in (_DANGLING, _TRANSPOSED, _CALLED))
    return text if known and not doubtful and _READABLE.fullmatch(text) and _balanced(text) else None


def split_unit(text: str) -> tuple[str, str]:
    """Return a formula and the unit behind it, empty where there is none."""
    match = _UNIT.fullmatch(text)
    if match is None:
        return text, ""
    unit = measure_of(match["unit"])
    known = unit is not None and not isinstance(unit, str) and bool(unit.dimension) and unit.physical
    return (match["formula"], match["unit"].strip()) if known else (text, "")


def letters_differ_in_case_only(gold: str, found: str) -> bool:
    """Tell whether two formulas have the same letters but for capitals."""
    left, right = (set(re.findall(r"(?<![A-Za-z\\])[A-Za-z]", _COMMAND.sub(" ", text))) for text in (gold, found))
    return left != right and {one.casefold() for one in left} == {one.casefold() for one in right}


def _balanced(text: str) -> bool:
    # An interval may close with another bracket than it opens with.
    curly = text.replace("\\{", "").replace("\\}", "")
    round_or_square = sum(text.count(sign) for sign in "([") == sum(text.count(sign) for sign in ")]")
    return curly.count("{") == curly.count("}") and text.count("\\{") == text.count("\\}") and round_or_square
