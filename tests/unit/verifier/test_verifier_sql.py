"""SQL is parsed, never run: what names nothing of its schema, or breaks off, is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.sample import Metadata, Reference, Sample
from services.verifier.checks import Finding
from services.verifier.sql_static import SqlStatic

SCHEMA = """CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age INT);
CREATE TABLE concert (id INTEGER, singer_id INTEGER, place TEXT);
INSERT INTO singer VALUES (1, 'Ann', 30);"""


def verdict(query: str, schema: str = SCHEMA) -> Finding | None:
    reference = Reference(schema=schema)
    sample = Sample(
        id="a", instruction="a question", response=query, metadata=Metadata(domain="sql", reference=reference)
    )
    return SqlStatic().check(sample, {})


@pytest.mark.parametrize(
    "query",
    [
        "SELECT name FROM singer WHERE age > 20;",
        "```sql\nSELECT count(*) FROM singer\n```",
        "SELECT s.name, c.place FROM singer AS s JOIN concert AS c ON s.id = c.singer_id ORDER BY s.age DESC LIMIT 3",
        "WITH old AS (SELECT id AS i FROM singer WHERE age > 50) SELECT count(i) FROM old",
        "SELECT name, age * 2 AS doubled FROM singer ORDER BY doubled",
        "SELECT name FROM singer WHERE id IN (SELECT singer_id FROM concert)",
    ],
)
def test_a_query_that_fits_passes(query: str) -> None:
    found = verdict(query)
    assert found is not None
    assert found.verdict == "pass"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT title FROM book", "no_such_table"),
        ("SELECT title FROM singer", "no_such_column"),
        ("SELECT name FROM singer WHERE age >", "incomplete"),
        ("SELECT name FROM singer WHERE (age > 3", "incomplete"),
        ("SELECT name FROM singer WHERE name = 'An", "incomplete"),
    ],
)
def test_a_query_that_cannot_belong_fails(query: str, reason: str) -> None:
    found = verdict(query)
    assert found is not None
    assert (found.verdict, found.reason) == ("fail", reason)


def test_without_an_understood_schema_nothing_is_said() -> None:
    assert verdict("SELECT 1", schema="a table of singers") is None


def test_what_is_too_long_is_unknown() -> None:
    found = verdict("SELECT name FROM singer -- " + "x" * 30_000)
    assert found is not None
    assert found.verdict == "unknown"


@given(st.text(max_size=200))
def test_no_text_breaks_it_and_garbage_is_no_failure_of_a_table(text: str) -> None:
    found = verdict(text)
    assert found is None or found.verdict in {"pass", "fail", "unknown"}


def test_deep_nesting_ends() -> None:
    found = verdict("SELECT " + "(" * 5_000 + "1" + ")" * 5_000)
    assert found is not None
    assert found.verdict in {"unknown", "fail", "pass"}
