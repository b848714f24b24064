"""SQL that cannot belong to its schema. Statements are compiled by SQLite, never run (G8)."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing

from schemas.sample import Sample
from services.verifier.checks import PASS, Finding, Options, domain_in

_DOMAINS = frozenset({"sql", "text2sql"})
_FENCE = re.compile(r"```[ \t]*(?:sql|sqlite)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_LONGEST = 20_000
_FAULTS = (("incomplete input", "incomplete"), ("no such table", "no_such_table"), ("no such column", "no_such_column"))
_TABLES = frozenset(
    {
        sqlite3.SQLITE_CREATE_TABLE,
        sqlite3.SQLITE_CREATE_INDEX,
        sqlite3.SQLITE_CREATE_VIEW,
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_UPDATE,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_REINDEX,
    }
)
_QUERIES = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, getattr(sqlite3, "SQLITE_RECURSIVE", 33)}
)


class SqlStatic:
    """A query must be whole, and name only tables and columns of `reference.schema`.

    The query is compiled by `EXPLAIN` in an empty database in memory, with an authorizer that allows reading only. What
    SQLite does not understand may be another dialect: the verdict is then `unknown`.
    """

    name = "sql_static"
    version = "1"
    order = 25

    def applies(self, sample: Sample) -> bool:
        """Tell whether it is SQL whose schema is known."""
        reference = sample.metadata.reference
        return reference is not None and bool(reference.schema_) and domain_in(sample, _DOMAINS)

    def check(self, sample: Sample, options: Options) -> Finding | None:  # noqa: ARG002 - the protocol's
        """Return what does not fit; None where the schema itself is not understood."""
        reference = sample.metadata.reference
        schema = (reference.schema_ if reference else None) or ""
        fenced = _FENCE.findall(sample.response)
        query = (fenced[-1] if fenced else sample.response).strip().rstrip(";").strip()
        if max(len(schema), len(query)) > _LONGEST:
            return Finding("unknown", "too_long", max(len(schema), len(query)), _LONGEST)
        with closing(sqlite3.connect(":memory:")) as database:
            if not _prepared(database, schema):
                return None
            return _compiled(database, query)


def _prepared(database: sqlite3.Connection, schema: str) -> bool:
    """Make the empty tables; a statement that does anything else is denied."""
    database.set_authorizer(_only(_TABLES))
    database.set_progress_handler(lambda: 1, 1_000_000)
    try:
        database.executescript(schema)
    except (sqlite3.Error, sqlite3.Warning, ValueError):
        return False
    return True


def _compiled(database: sqlite3.Connection, query: str) -> Finding:
    database.set_authorizer(_only(_QUERIES))
    try:
        database.execute(f"EXPLAIN {query}")
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        for words, reason in _FAULTS:
            if words in str(error):
                return Finding("fail", reason, str(error)[:160], "compiles", query[-80:])
        return Finding("unknown", "not_understood", str(error)[:160], "compiles", query[-80:])
    return PASS


def _only(allowed: frozenset[int]) -> Callable[..., int]:
    def decide(action: int, *names: str | None) -> int:
        forbidden = action == sqlite3.SQLITE_FUNCTION and "load_extension" in names
        return sqlite3.SQLITE_OK if action in allowed and not forbidden else sqlite3.SQLITE_DENY

    return decide
