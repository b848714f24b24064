"""Python that cannot be parsed, or that is no answer. Nothing is executed here (G8)."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Sequence

from schemas.sample import Sample
from services.verifier.checks import CODE_DOMAINS, PASS, Cost, Finding, Options, domain_in
from services.verifier.code.answer import entry_name
from services.verifier.code.source import (
    LONGEST,
    Prompt,
    Unparsed,
    defined,
    fenced,
    free_names,
    is_empty,
    parsed,
    program_of,
    prompt_of,
)

_PYTHON = frozenset({"python", "py", "python3"})
_LOOKS_PYTHON = re.compile(r"^(?:def \w+\s*\(|class \w.*:\s*$|import \w+|from \w[\w.]* import )", re.MULTILINE)
_LOOKS_OTHER = re.compile(
    r"[;{][^\S\n]*+$|^[^\S\n]*+end[^\S\n]*+$|^[^\S\n]*+puts\b|=>| :: |^#include"
    r"|^[^\S\n]*+(?:public|private|const|let|var|function|package|using)\b",
    re.MULTILINE,
)
_UNFORESEEABLE = frozenset({"exec", "eval", "globals", "locals", "vars", "setattr", "__import__"})
_MODULE_NAMES = frozenset({"__name__", "__file__", "__doc__", "__builtins__", "__annotations__", "__class__"})


class CodeStatic:
    """Python in a fenced block, or the whole answer where it is plainly Python, must compile and be an answer.

    Where `reference.entry_point` is known, the code must define it (or complete the question's signature), its body
    must do something, and every name that it uses must be bound somewhere.
    """

    name = "code_static"
    version = "3"
    cost = Cost.STATIC
    domains: frozenset[str] | None = None

    def applies(self, sample: Sample) -> bool:
        """Code, and whatever has a fenced block of Python."""
        return domain_in(sample, CODE_DOMAINS) or "```py" in sample.response

    def check(self, sample: Sample, options: Options) -> Finding | None:  # noqa: ARG002 - the protocol's
        """Return the first fault, or None where no Python was found."""
        reference = sample.metadata.reference
        entry = entry_name(reference.entry_point) if reference and reference.entry_point else None
        prompt = prompt_of(sample.instruction, entry)
        blocks = python_blocks(sample.response)
        if not blocks and prompt is not None and next(fenced(sample.response), None) is None:
            blocks = [sample.response]
        if not blocks:
            return Finding("fail", "no_code", sample.response[:80], entry) if prompt is not None else None
        trees = []
        for block in blocks:
            tree = _compiled(block, prompt, entry)
            if isinstance(tree, Finding):
                return tree
            trees.append(tree)
        if entry:
            return _of_entry_point(trees, entry)
        return Finding("fail", "empty_answer", "no body does anything") if _all_empty(trees) else PASS


def python_blocks(text: str) -> list[str]:
    """Return the Python of an answer: fenced blocks, else the bare text if it is plainly code."""
    text = text.replace("\r\n", "\n").removeprefix("\ufeff")
    blocks = list(fenced(text))
    if blocks:
        return [
            textwrap.dedent(code.removeprefix("\ufeff"))
            for language, code in blocks
            if (language.casefold() in _PYTHON or (not language and _is_python(code))) and ">>>" not in code
        ]
    return [text] if _is_python(text) else []


def _is_python(text: str) -> bool:
    first = text.lstrip().partition("\n")[0]
    return _LOOKS_PYTHON.match(first) is not None and _LOOKS_OTHER.search(text) is None


def _compiled(block: str, prompt: Prompt | None, entry: str | None) -> ast.Module | Finding:
    try:
        program = program_of(block, prompt, entry)
        tree = parsed(program)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # What the grammar allows and the compiler does not: `return` outside a function, `break` outside a loop.
            compile(program, "answer", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except Unparsed as error:
        if error.reason == "syntax_error":
            return Finding("fail", "syntax_error", str(error).partition(":")[0], "parses", str(error))
        return Finding("unknown", error.reason, len(block), LONGEST, str(error))
    except SyntaxError as error:
        return Finding("fail", "syntax_error", f"line {error.lineno}", "compiles", str(error.msg)[:200])
    except (RecursionError, MemoryError):
        return Finding("unknown", "too_deep", None, None, "the compiler gave up on the nesting")
    return tree


def _of_entry_point(trees: Sequence[ast.Module], entry: str) -> Finding:
    own = [tree for tree in trees if entry in defined(tree)]
    if not own:
        return Finding("fail", "entry_point_missing", "absent", entry)
    functions = [node for tree in own for node in ast.walk(tree) if getattr(node, "name", None) == entry]
    if functions and isinstance(functions[-1], ast.stmt) and is_empty(functions[-1]):
        return Finding("fail", "empty_answer", "no body", entry)
    missing = _unbound(trees)
    return Finding("fail", "undefined_name", missing[0], "bound somewhere") if missing else PASS


def _unbound(trees: Sequence[ast.Module]) -> list[str]:
    """Return the names that nothing binds; none where names may come from elsewhere."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    if any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in nodes):
        return []
    if any(isinstance(node, ast.Name) and node.id in _UNFORESEEABLE for node in nodes):
        return []
    return sorted(free_names(trees) - _MODULE_NAMES)


def _all_empty(trees: Sequence[ast.Module]) -> bool:
    statements = [node for tree in trees for node in tree.body]
    return all(is_empty(node) or _says_nothing(node) for node in statements)


def _says_nothing(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass | ast.Import | ast.ImportFrom) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )
