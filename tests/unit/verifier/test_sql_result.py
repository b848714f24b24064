"""Results of SQL, compared on databases that the sandbox makes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from schemas.sample import Metadata, Reference, Sample
from services.verifier.settings import VerifierSettings
from services.verifier.sql.compare import is_ordered, same_rows
from services.verifier.sql_result import SqlResult

TABLES = "CREATE TABLE town (id INTEGER PRIMARY KEY, name TEXT, people INT);"
ROWS = TABLES + "INSERT INTO town VALUES (1, 'Ulm', 126), (2, 'Bern', 134), (3, 'Graz', 292), (4, 'Ulm', 9);"
REFERENCE = "SELECT name, people FROM town WHERE people > 100"
cell = st.one_of(st.none(), st.integers(-3, 3), st.sampled_from(["a", "b"]))


def sample(query: str, reference: str = REFERENCE, schema: str = ROWS) -> Sample:
    known = Reference.model_validate({"schema": schema, "answer": reference})
    return Sample(id="s", instruction="Ask.", response=query, metadata=Metadata(domain="sql", reference=known))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def check() -> AsyncIterator[SqlResult]:
    found = SqlResult(VerifierSettings(sandbox_boxes=1))
    probe = await found.check(sample(REFERENCE), {})
    if probe is not None and probe.reason == "no_sandbox":
        pytest.skip(f"no sandbox here: {probe.evidence}")
    yield found
    await found.close()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("query", "reference", "schema", "expected"),
    [
        (REFERENCE, REFERENCE, ROWS, "pass"),
        ("```sql\nSELECT people, name FROM town WHERE people >= 101 ORDER BY 1 DESC;\n```", REFERENCE, ROWS, "pass"),
        ("SELECT name, people FROM town", REFERENCE, ROWS, "fail:rows"),
        ("SELECT name, id FROM town WHERE people > 100", REFERENCE, ROWS, "fail:result"),
        ("SELECT name FROM town WHERE people > 100", REFERENCE, ROWS, "fail:columns"),
        ("SELECT name FROM town", "SELECT name FROM town ORDER BY people", ROWS, "fail:result"),
        ("SELECT nam FROM town", REFERENCE, ROWS, "fail:does_not_fit_schema"),
        ("SELECT TOP 3 name FROM town", REFERENCE, ROWS, "unknown:dialect"),
        ("DELETE FROM town", REFERENCE, ROWS, "fail:not_read_only"),
        ("SELECT 1; DROP TABLE town", REFERENCE, ROWS, "fail:several_statements"),
        ("ATTACH '/etc/passwd' AS x", REFERENCE, ROWS, "fail:not_read_only"),
        ("PRAGMA writable_schema = 1", REFERENCE, ROWS, "fail:not_read_only"),
        ("SELECT load_extension('x')", REFERENCE, ROWS, "fail:not_read_only"),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i), 1 FROM n", REFERENCE, ROWS,
         "timeout:steps"),
        (REFERENCE, "SELECT nothing", ROWS, "unknown:reference_fails"),
        (REFERENCE, REFERENCE, "CREATE TABEL", "unknown:schema_fails"),
        (REFERENCE, "42", ROWS, "unknown:reference_is_no_query"),
        ("SELECT name FROM town WHERE 0", "SELECT name FROM town WHERE people < 0", ROWS, "unknown:no_rows"),
        ("SELECT 3", "SELECT count(*) FROM town WHERE people > 100", ROWS, "fail:reads_no_table"),
        ("SELECT count(*) FROM town WHERE people > 100", "SELECT count(*) FROM town WHERE people >= 101", ROWS, "pass"),
        ("SELECT 0 FROM town LIMIT 1", "SELECT count(*) FROM town WHERE people > 1e12", TABLES, "unknown:no_rows"),
        ("SELECT zeroblob(900000000), people FROM town", REFERENCE, ROWS, "fail:memory_limit"),
        (f"Run it:\n```postgresql\n{REFERENCE}\n```\nIt gives\n```\nname | people\n```", REFERENCE, ROWS, "pass"),
        (f"```python\nprint()\n```\n```\n{REFERENCE}\n```", REFERENCE, ROWS, "pass"),
        ("SELECT people, name FROM town WHERE 100 < people", REFERENCE, TABLES, "pass"),
        ("SELECT name, people FROM town WHERE people >= 100", REFERENCE, TABLES, "fail:rows"),
    ],
)  # fmt: skip
async def test_a_query_is_judged_by_its_result(
    check: SqlResult, query: str, reference: str, schema: str, expected: str
) -> None:
    finding = await check.check(sample(query, reference, schema), {"steps": 1_000_000})
    assert finding is not None
    word = finding.verdict if finding.reason is None else f"{finding.verdict}:{finding.reason}"
    assert word == expected, finding


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.tuples(*[cell] * n), max_size=6)), st.randoms())
def test_rows_and_columns_may_be_turned(rows: list[tuple[object, ...]], draw: random.Random) -> None:
    width = len(rows[0]) if rows else 0
    order = draw.sample(range(width), width)
    turned = [tuple(row[place] for place in order) for row in draw.sample(rows, len(rows))]
    assert same_rows(turned, rows, ordered=False)
    assert same_rows(rows, rows, ordered=True, column_order=True)


@pytest.mark.parametrize(
    ("query", "ordered"),
    [
        ("SELECT a FROM t ORDER BY a", True),
        ("select a from t order  by a limit 1", True),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a LIMIT 3)", False),
        ("SELECT a FROM t WHERE b = 'order by'", False),
        ("SELECT a, rank() OVER (ORDER BY a) FROM t", False),
    ],
)
def test_only_the_outermost_order_counts(query: str, ordered: bool) -> None:
    assert is_ordered(query) is ordered
