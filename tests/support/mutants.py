"""Solutions and queries with one operator changed or dropped."""

from __future__ import annotations

import ast
import copy
import random
import re
from collections.abc import Iterator

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or,
    ast.Or: ast.And,
}  # fmt: skip


def mutants(source: str, function: str) -> Iterator[str]:
    """Yield every source in which one operator of a function is another, or only its left operand is left."""
    tree = ast.parse(source)
    inside = {id(node) for each in tree.body if getattr(each, "name", None) == function for node in ast.walk(each)}
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in inside and isinstance(node, ast.BinOp | ast.BoolOp | ast.Compare | ast.UnaryOp):
            for change in (_swapped, _dropped):
                copied = copy.deepcopy(tree)
                target = list(ast.walk(copied))[place]
                if change(copied, target):
                    yield ast.unparse(ast.fix_missing_locations(copied))


_QUERY_SWAPS = (
    (">=", "<"), ("<=", ">"), ("!=", "="), (">", ">="), ("<", "<="), ("=", "!="), ("MAX", "MIN"), ("MIN", "MAX"),
    ("AVG", "SUM"), ("SUM", "AVG"), ("DESC", "ASC"), ("ASC", "DESC"), ("AND", "OR"), ("OR", "AND"), ("DISTINCT", ""),
    ("INTERSECT", "UNION"), ("UNION", "INTERSECT"), ("EXCEPT", "UNION"), ("NOT IN", "IN"), ("LIMIT 1", "LIMIT 2"),
)  # fmt: skip


def query_mutants(query: str) -> list[str]:
    """Return every query in which one operator, outside quotes and joins, is another or gone."""
    found = []
    for one, other in _QUERY_SWAPS:
        bound = r"\b" if one[0].isalpha() else ""
        for match in re.finditer(rf"(?<![<>!=]){bound}{re.escape(one)}{bound}(?!=)", query, re.IGNORECASE):
            before = query[: match.start()]
            joins = one == "=" and re.search(r"\bON\s+\S+\s*$", before, re.IGNORECASE)
            if not joins and not (before.count("'") % 2 or before.count('"') % 2):
                found.append(before + other + query[match.end() :])
    return sorted(set(found) - {query})


def sampled(source: str, function: str, number: int, seed: str) -> list[str]:
    """Return some of them, the same for the same seed."""
    found = sorted(set(mutants(source, function)))
    return random.Random(seed).sample(found, min(number, len(found)))


def _swapped(_tree: ast.AST, node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        other = _SWAPS.get(type(node.ops[0]))
        if other is not None:
            node.ops[0] = other()  # type: ignore[assignment]
        return other is not None
    other = _SWAPS.get(type(getattr(node, "op", None)))  # type: ignore[arg-type]
    if other is not None:
        node.op = other()  # type: ignore[attr-defined]
    return other is not None


def _dropped(tree: ast.AST, node: ast.AST) -> bool:
    kept = getattr(node, "left", None) or getattr(node, "operand", None) or getattr(node, "values", [None])[0]
    if kept is None:
        return False
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, name, kept)
                return True
            if isinstance(value, list) and any(each is node for each in value):
                value[:] = [kept if each is node else each for each in value]
                return True
    return False
