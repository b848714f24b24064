"""SQL that cannot belong to its schema. Everything is parsed, nothing is run (G8)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from schemas.sample import Sample
from services.verifier.checks import PASS, Cost, Finding, Options

if TYPE_CHECKING:
    from sqlglot.expressions import Expr

_DOMAINS = frozenset({"sql", "text2sql"})
_FENCE = re.compile(r"```[ \t]*+(?:sql(?:ite)?[ \t]*+)?\n(.*?)```", re.DOTALL | re.IGNORECASE)
_LONGEST = 20_000
_DIALECT = "sqlite"
_OPEN_END = re.compile(
    r"(?:\b(?:select|from|where|and|or|on|by|join|as|in|like|between|not|set|values|having|limit|order|group|distinct|"
    r"then|when|else|case|is|inner|left|using|union|desc\s*,)|[,=<>+\-*/(.!|])\s*$",
    re.IGNORECASE,
)


class SqlStatic:
    """A query must be whole, and read only tables and columns of `reference.schema`.

    Both are parsed by sqlglot in SQLite's dialect. What it does not understand may be another dialect: the verdict is
    then `unknown`, but for a query that merely breaks off, which is `incomplete`.
    """

    name = "sql_static"
    version = "2"
    cost = Cost.STATIC
    domains: frozenset[str] | None = _DOMAINS

    def applies(self, sample: Sample) -> bool:
        """Tell whether it is SQL whose schema is known."""
        reference = sample.metadata.reference
        return reference is not None and bool(reference.schema_)

    def check(self, sample: Sample, options: Options) -> Finding | None:  # noqa: ARG002 - the protocol's
        """Return what does not fit; None where the schema itself is not understood."""
        reference = sample.metadata.reference
        schema = (reference.schema_ if reference else None) or ""
        fenced = _FENCE.findall(sample.response)
        query = (fenced[-1] if fenced else sample.response).strip().rstrip(";").strip()
        if max(len(schema), len(query)) > _LONGEST:
            return Finding("unknown", "too_long", max(len(schema), len(query)), _LONGEST)
        tables = _tables(schema)
        return _fitting(query, tables) if tables else None


def _parsed(text: str) -> list[Expr] | None:
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        return [statement for statement in sqlglot.parse(text, read=_DIALECT) if statement is not None]
    except (SqlglotError, RecursionError):
        return None


def _tables(schema: str) -> dict[str, set[str] | None]:
    """Return the columns of each table that the schema makes; None for a view, whose columns are not looked into."""
    from sqlglot import expressions as sql

    tables: dict[str, set[str] | None] = {}
    for statement in _parsed(schema) or ():
        if not isinstance(statement, sql.Create) or statement.kind not in {"TABLE", "VIEW"}:
            continue
        table = statement.find(sql.Table)
        if table is not None:
            columns = {column.name.lower() for column in statement.find_all(sql.ColumnDef)}
            tables[table.name.lower()] = columns or None
    return tables


def _fitting(query: str, tables: dict[str, set[str] | None]) -> Finding:
    from sqlglot import expressions as sql

    parsed = _parsed(query)
    if not parsed or not isinstance(parsed[-1], sql.Query) or parsed[-1].find(sql.Anonymous):
        if _breaks_off(query):
            return Finding("fail", "incomplete", query[-80:], "a whole statement")
        return Finding("unknown", "not_understood", query[-80:], "parses")
    statement = parsed[-1]
    made = {part.alias_or_name.lower() for part in statement.find_all(sql.CTE)}
    used = [table.name.lower() for table in statement.find_all(sql.Table) if table.name]
    missing = sorted({name for name in used if name not in made and name not in tables})
    if missing:
        return Finding("fail", "no_such_table", missing[0], ", ".join(sorted(tables))[:160])
    if _breaks_off(query):
        return Finding("fail", "incomplete", query[-80:], "a whole statement")
    return _columns_fit(statement, made, used, tables)


def _columns_fit(statement: Expr, made: set[str], used: list[str], tables: dict[str, set[str] | None]) -> Finding:
    from sqlglot import expressions as sql

    known = [tables[name] for name in used if name in tables]
    if made or statement.find(sql.Subquery) or not known or any(columns is None for columns in known):
        return PASS
    columns = {name for table in known for name in table or ()}
    aliases = {alias.alias.lower() for alias in statement.find_all(sql.Alias)} | {"rowid"}
    for column in statement.find_all(sql.Column):
        # SQLite reads a quoted name that is no column as text.
        if not isinstance(column.this, sql.Star) and not column.this.args.get("quoted"):
            name = column.name.lower()
            if name not in columns and name not in aliases:
                return Finding("fail", "no_such_column", name, ", ".join(sorted(columns))[:160])
    return PASS


def _breaks_off(query: str) -> bool:
    """Tell whether a query ends where no query can: after a keyword or an operator, or inside brackets or quotes."""
    bare = re.sub(r"'(?:[^']|'')*'|\"[^\"]*\"", "''", query)
    if bare.count("'") % 2 or bare.count('"') % 2:
        return True
    return bare.count("(") > bare.count(")") or (bool(_OPEN_END.search(bare)) and not bare.rstrip().endswith("*"))
