"""Run a reference query and an answer's query on databases made from one schema; print their rows as JSON."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

_STEPS = 1000
_NUMBER = re.compile(r"(?<![\w.])\d{1,9}(?:\.\d+)?(?![\w.])")
_TEXT = re.compile(r"'((?:[^']|'')*)'|\"([^\"]*)\"")
_READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_ROWS_MADE = 24


def main() -> None:
    """Read the plan, answer."""
    plan = json.loads(Path("plan.json").read_bytes())
    sys.stdout.write(json.dumps(answered(plan)))


def answered(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the results on the schema's own rows, or on made rows where it has none."""
    try:
        database = built(plan["schema"])
    except sqlite3.Error as error:
        return {"schema_error": str(error)}
    own = any(count(database, table) for table in tables(database))
    if own:
        return {"own_rows": True, "runs": [both(database, plan)]}
    values = literals(plan["reference"] + "\n" + plan["query"])
    runs = []
    for seed in range(plan["databases"]):
        database = built(plan["schema"])
        fill(database, random.Random(seed), values)  # noqa: S311 - data, not secrets
        runs.append(both(database, plan))
    return {"own_rows": False, "runs": runs}


def built(schema: str) -> sqlite3.Connection:
    """Return a database in memory."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.text_factory = lambda raw: raw.decode(errors="replace")
    database.execute("PRAGMA foreign_keys = OFF")
    database.executescript(schema)
    return database


def tables(database: sqlite3.Connection) -> list[str]:
    """Return the names of the tables."""
    found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return [name for (name,) in found]


def count(database: sqlite3.Connection, table: str) -> int:
    """Return the number of a table's rows."""
    return int(database.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0])  # noqa: S608 - quoted


def quoted(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literals(queries: str) -> tuple[list[float], list[str]]:
    """Return the numbers and the texts that queries mention, so that their conditions meet some rows."""
    texts = [(one or two).replace("%", "") for one, two in _TEXT.findall(queries)]
    numbers = [float(each) for each in _NUMBER.findall(queries)]
    return numbers, [each for each in texts if each]


def fill(database: sqlite3.Connection, draw: random.Random, values: tuple[list[float], list[str]]) -> None:
    """Put rows into every table; keys and foreign keys come from one small range, so that joins meet."""
    for table in tables(database):
        columns = database.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
        links = {row[3].lower() for row in database.execute(f"PRAGMA foreign_key_list({quoted(table)})")}
        marks = ", ".join("?" * len(columns))
        for number in range(1, _ROWS_MADE + 1):
            row = [made(each, number, each[1].lower() in links, draw, values) for each in columns]
            database.execute(f"INSERT OR IGNORE INTO {quoted(table)} VALUES ({marks})", row)  # noqa: S608 - quoted


def made(column: Any, number: int, linked: bool, draw: random.Random, values: tuple[list[float], list[str]]) -> Any:
    """Return a value for one column."""
    kind, key = str(column[2]).upper(), column[5]
    numbers, texts = values
    if key and not linked:
        return number
    if linked or column[1].lower().endswith("id"):
        return draw.randint(1, _ROWS_MADE)
    numeric = any(word in kind for word in ("INT", "NUM", "REAL", "FLOA", "DOUB", "DEC"))
    if numeric and numbers and draw.random() < 0.5:
        value = draw.choice(numbers) + draw.choice((-1, 0, 1))
        return int(value) if value == int(value) else value
    if numeric:
        return draw.randint(1, 1000)
    if texts and draw.random() < 0.5:
        return draw.choice(texts)
    return f"{draw.choice('abcdef')}{draw.randint(1, 30)}"


def both(database: sqlite3.Connection, plan: dict[str, Any]) -> dict[str, Any]:
    """Run both queries, which may only read."""
    result = {name: rows(database, plan[name], plan) for name in ("reference", "query")}
    database.set_authorizer(None)
    return result


class Reader:
    """An authorizer of SQLite's that lets nothing but reading through, and counts the columns that are read."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self, action: int, _one: str | None, two: str | None, *_: Any) -> int:
        """Permit or refuse one thing that a statement would do."""
        if action not in _READS or two == "load_extension":
            return sqlite3.SQLITE_DENY
        self.reads += action == sqlite3.SQLITE_READ
        return sqlite3.SQLITE_OK


def rows(database: sqlite3.Connection, query: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Return the rows of a query, or its error."""
    left, reader = [plan["steps"] // _STEPS], Reader()

    def stop() -> int:
        left[0] -= 1
        return int(left[0] <= 0)

    database.set_authorizer(reader)
    database.set_progress_handler(stop, _STEPS)
    try:
        cursor = database.execute(query)
        if cursor.description is None:
            return {"error": "no rows are asked for"}
        found = cursor.fetchmany(plan["most_rows"] + 1)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        return {"error": str(error), "slow": left[0] <= 0}
    except MemoryError:
        return {"error": "the query wants more memory than there is", "memory": True}
    finally:
        database.set_progress_handler(None, 0)
    plain = [[f"\0{each.hex()}" if isinstance(each, bytes) else each for each in row] for row in found]
    return {"rows": plain, "columns": len(cursor.description), "reads": reader.reads}


if __name__ == "__main__":
    main()
