"""Python that cannot be parsed. Nothing is executed here (G8)."""

from __future__ import annotations

import ast
import re
import warnings

from schemas.sample import Sample
from services.verifier.checks import CODE_DOMAINS, PASS, Cost, Finding, Options, domain_in

_FENCE = re.compile(r"```[ \t]*([\w+#.-]*)[^\n]*\n(.*?)```", re.DOTALL)
_PYTHON = frozenset({"python", "py", "python3"})
_LOOKS_PYTHON = re.compile(r"^(?:def \w+\s*\(|class \w+.*:\s*$|import \w+|from \w[\w.]* import )", re.MULTILINE)
_LOOKS_OTHER = re.compile(
    r"[;{]\s*$|^\s*end\s*$|^\s*puts\b|=>| :: |^#include"
    r"|^\s*(?:public|private|const|let|var|function|package|using)\b",
    re.MULTILINE,
)
_MAX_CHARACTERS = 100_000


class CodeStatic:
    """Python in a fenced block, or the whole answer where it is plainly Python, must parse.

    Where `reference.entry_point` is known, code that parses must also define it.
    """

    name = "code_static"
    version = "1"
    cost = Cost.STATIC
    domains: frozenset[str] | None = None

    def applies(self, sample: Sample) -> bool:
        """Code, and whatever has a fenced block of Python."""
        return domain_in(sample, CODE_DOMAINS) or "```py" in sample.response

    def check(self, sample: Sample, options: Options) -> Finding | None:  # noqa: ARG002 - the protocol's
        """Return the first fault, or None where no Python was found."""
        blocks = python_blocks(sample.response)
        if not blocks:
            return None
        trees = []
        for block in blocks:
            tree = _parsed(block)
            if isinstance(tree, Finding):
                return tree
            trees.append(tree)
        reference = sample.metadata.reference
        entry = reference.entry_point if reference else None
        if entry and not any(entry in _defined(tree) for tree in trees):
            return Finding("fail", "entry_point_missing", "absent", entry)
        return PASS


def python_blocks(text: str) -> list[str]:
    """Return the Python of an answer: fenced blocks, else the bare text if it is plainly code."""
    fenced = _FENCE.findall(text)
    if fenced:
        return [
            code
            for language, code in fenced
            if (language.casefold() in _PYTHON or (not language and _is_python(code))) and ">>>" not in code
        ]
    return [text] if _is_python(text) else []


def _is_python(text: str) -> bool:
    first = text.lstrip().partition("\n")[0]
    return _LOOKS_PYTHON.match(first) is not None and _LOOKS_OTHER.search(text) is None


def _parsed(code: str) -> ast.Module | Finding:
    if len(code) > _MAX_CHARACTERS:
        return Finding("unknown", "too_long", len(code), _MAX_CHARACTERS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(code.replace("\r\n", "\n"))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        return Finding("fail", "syntax_error", f"line {line}", "parses", str(getattr(error, "msg", error))[:200])
    except (RecursionError, MemoryError):
        return Finding("unknown", "too_deep", None, None, "the parser gave up on the nesting")


def _defined(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names
