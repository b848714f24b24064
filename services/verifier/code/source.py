"""Python source, read but never run: what it defines, what it needs, how an answer completes its prompt."""

from __future__ import annotations

import ast
import builtins
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

LONGEST = 100_000
_INFO = re.compile(r"[ \t]*([\w+#.-]*)")
_BUILTINS = frozenset(dir(builtins))


class Unparsed(ValueError):
    """Source that is no Python, or more than is read; `reason` is a stable word."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def parsed(source: str) -> ast.Module:
    """Parse within bounds.

    Raises
    ------
    Unparsed
        With reason `syntax_error`, `too_long` or `too_deep`.
    """
    if len(source) > LONGEST:
        raise Unparsed("too_long", f"{len(source)} characters, at most {LONGEST} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise Unparsed("syntax_error", f"line {line}: {getattr(error, 'msg', error)}"[:200]) from error
    except (RecursionError, MemoryError) as error:
        raise Unparsed("too_deep", "the parser gave up on the nesting") from error


def reads(source: str) -> bool:
    """Tell whether it parses."""
    try:
        parsed(source)
    except Unparsed:
        return False
    return True


def defined(tree: ast.AST) -> set[str]:
    """Return every name that is bound anywhere in a tree."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
    return names


def free_names(trees: Iterable[ast.AST]) -> set[str]:
    """Return the names that trees use and do not bind, and that are no built-in ones."""
    used: set[str] = set()
    bound: set[str] = set()
    for tree in trees:
        bound |= defined(tree)
        used |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return used - bound - _BUILTINS


def fenced(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and content of what stands between a line with three backticks and the next three."""
    at = 0
    while True:
        opening = text.find("```", at)
        begin = text.find("\n", opening) + 1 if opening >= 0 else 0
        end = text.find("```", begin) if begin else -1
        if end < 0:
            return
        info = _INFO.match(text, opening + 3, begin - 1)
        yield info[1] if info else "", text[begin:end]
        at = end + 3


@dataclass(frozen=True, slots=True)
class Prompt:
    """The code that a question gives: the whole of it, and what of it is not the answer's to write."""

    text: str
    helpers: str


def prompt_of(instruction: str, entry_point: str | None) -> Prompt | None:
    """Return the code of an instruction that ends with the signature to be filled in; None where it has none."""
    if not entry_point:
        return None
    sign = re.compile(
        rf"^[^\S\n]*+(?:async\s+)?def\s+{re.escape(entry_point)}\s*\(|^class\s+{re.escape(entry_point)}\b", re.M
    )
    for text in (*(code for _, code in fenced(instruction)), instruction):
        if sign.search(text) and (tree := _stub(text)) is not None:
            others = [node for node in tree.body if _is_helper(node, entry_point)]
            return Prompt(text, ast.unparse(ast.Module(others, [])))
    return None


def _stub(text: str) -> ast.Module | None:
    for source in (text, text.rstrip() + "\n    pass\n"):
        try:
            return parsed(source)
        except Unparsed:
            continue
    return None


def _is_helper(node: ast.stmt, entry_point: str) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assign):
        return True
    named = isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name != entry_point
    return named and not is_empty(node)


def is_empty(node: ast.stmt) -> bool:
    """Tell whether a function has no body of its own: a docstring, pass, ..., NotImplementedError."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return all(_does_nothing(each) for each in node.body)
    return False


def _does_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Pass):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Raise) and "NotImplemented" in ast.dump(node)


def program_of(code: str, prompt: Prompt | None, entry_point: str | None) -> str:
    """Return the program that an answer means: itself, behind the prompt's helpers, or as the rest of its prompt.

    Parameters
    ----------
    code : str
    prompt : Prompt or None
    entry_point : str or None
        The name to be defined.
    """
    code = code.replace("\r\n", "\n")
    if prompt is None or entry_point is None:
        return code
    whole = re.search(
        rf"^(?:async\s+)?(?:def|class)\s+{re.escape(entry_point)}\b|^{re.escape(entry_point)}\s*=", code, re.M
    )
    head = prompt.text if prompt.text.endswith("\n") else prompt.text + "\n"
    if whole:
        return _behind(prompt.helpers, code)
    ways = [head + code, head + "    " + code.lstrip(), head + _indented(code)]
    return next((way for way in ways if reads(way)), ways[0])


def _behind(helpers: str, code: str) -> str:
    # What must stand first in a file stays first.
    future = re.findall(r"^from __future__ import .*$", code, re.MULTILINE)
    return "\n".join([*future, helpers, _without(code, future)])


def _without(code: str, lines: Sequence[str]) -> str:
    return "\n".join(line for line in code.split("\n") if line not in lines)


def _indented(code: str) -> str:
    return "\n".join("    " + line if line.strip() else line for line in code.split("\n"))


def is_standard_module(name: str) -> bool:
    """Tell whether the standard library has a module of this name."""
    return name in sys.stdlib_module_names
