"""SQL whose result is compared with that of the reference's query, on a database made in the sandbox (G8)."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from schemas.sample import Sample
from services.verifier.checks import PASS, Cost, Finding, Options
from services.verifier.code.shared_sandbox import SharedSandbox
from services.verifier.sandbox import best_sandbox
from services.verifier.sandbox.interface import Job, Limits, Outcome, Sandbox
from services.verifier.settings import VerifierSettings
from services.verifier.sql.compare import is_ordered, same_rows

_FENCE = re.compile(r"^[ \t]*+```[ \t]*+([\w+#.-]*+)[^\n]*+\n(.*?)^[ \t]*+```", re.DOTALL | re.MULTILINE)
_BEGINS = re.compile(r"\s*+(?:--[^\n]*+\n\s*+|/\*(?>.*?\*/)\s*+)*+(?:select|with|values)\b", re.IGNORECASE | re.DOTALL)
_RUNNER = Path(__file__).parent / "sql" / "inside" / "runner.py"
_ABSENT = ("no such table", "no such column", "ambiguous column")
_REFUSED = ("not authorized", "prohibited")


class SqlResultOptions(BaseModel):
    """`verify.checks.sql_result` of a RunSpec.

    Attributes
    ----------
    column_order : bool
        Whether the order of columns matters.
    databases : int
        Databases with made rows, where the schema has no rows of its own.
    most_rows : int
        Rows of a result.
    steps : int
        Instructions of SQLite's virtual machine for one query; the same on every machine.
    cpu_seconds, wall_seconds : float
        For everything together.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    column_order: bool = False
    databases: int = Field(default=3, ge=1, le=20)
    most_rows: int = Field(default=10_000, ge=1, le=100_000)
    steps: int = Field(default=20_000_000, ge=1000)
    cpu_seconds: float = Field(default=10.0, gt=0, le=600)
    wall_seconds: float = Field(default=40.0, gt=0, le=1800)


class SqlResult:
    """The answer's query must give what the query in `reference.answer` gives, on `reference.schema`.

    Parameters
    ----------
    settings : VerifierSettings
    sandbox : callable, optional
        Finds the sandbox when it is first needed.
    """

    name = "sql_result"
    version = "1"
    cost = Cost.SANDBOX
    domains: frozenset[str] | None = frozenset({"sql", "text2sql"})

    def __init__(
        self,
        settings: VerifierSettings,
        sandbox: Callable[[VerifierSettings], Awaitable[Sandbox]] = best_sandbox,
    ) -> None:
        self._sandbox = SharedSandbox(settings, sandbox)

    def applies(self, sample: Sample) -> bool:
        """Tell whether schema and reference query are known."""
        reference = sample.metadata.reference
        return reference is not None and bool(reference.schema_) and bool(reference.answer)

    async def check(self, sample: Sample, options: Options) -> Finding | None:
        """Run both queries and compare."""
        chosen = SqlResultOptions.model_validate(dict(options))
        reference = sample.metadata.reference
        if reference is None or reference.schema_ is None or reference.answer is None:
            return None
        if not _BEGINS.match(reference.answer):
            return Finding("unknown", "reference_is_no_query", reference.answer[:80])
        query = query_of(sample.response)
        plan = {
            "schema": reference.schema_,
            "reference": reference.answer,
            "query": query,
            "databases": chosen.databases,
            "most_rows": chosen.most_rows,
            "steps": chosen.steps,
        }
        limits = Limits(
            cpu_seconds=chosen.cpu_seconds, wall_seconds=chosen.wall_seconds, output_bytes=16 << 20, processes=4
        )
        files = {"plan.json": json.dumps(plan).encode()}
        sandbox = await self._sandbox.get()
        outcome = await sandbox.run(Job(python=_RUNNER.read_text(encoding="utf-8"), files=files, limits=limits))
        return _finding(outcome, is_ordered(reference.answer), chosen)

    async def close(self) -> None:
        """End the sandbox."""
        await self._sandbox.close()


def query_of(response: str) -> str:
    """Return the query of an answer: the last fenced block of SQL, of any query, of anything; else the whole text."""
    fenced = [(str(info).casefold(), str(text)) for info, text in _FENCE.findall(response)]
    named = [text for info, text in fenced if "sql" in info]
    queries = [text for _, text in fenced if _BEGINS.match(text)]
    return (named or queries or [text for _, text in fenced] or [response])[-1].strip()


def _finding(outcome: Outcome, ordered: bool, options: SqlResultOptions) -> Finding:
    if outcome.status == "unavailable":
        return Finding("unknown", "no_sandbox", evidence=outcome.detail)
    if outcome.status in {"cpu_limit", "wall_limit"}:
        return Finding("timeout", outcome.status, evidence=outcome.detail)
    if outcome.status != "exited" or outcome.code != 0:
        return Finding(
            "unknown", "runner_failed", outcome.status, "exited", outcome.stderr.decode(errors="replace")[-400:]
        )
    said = json.loads(outcome.stdout)
    if "schema_error" in said:
        return Finding("unknown", "schema_fails", evidence=said["schema_error"])
    findings = [_of_run(run, ordered, options) for run in said["runs"]]
    worst = next((each for each in findings if each.verdict != "pass"), PASS)
    if worst.verdict == "pass" and not any(_says_something(run["reference"], said["own_rows"]) for run in said["runs"]):
        return Finding("unknown", "no_rows", evidence="both results are empty, which proves nothing")
    return worst


def _says_something(result: dict[str, Any], own_rows: bool) -> bool:
    """Tell whether a result is more than what any query gives that meets no row: nothing, NULL or a count of 0."""
    rows = result.get("rows", [])
    return bool(rows) and (own_rows or len(rows) > 1 or any(rows[0]))


def _of_run(run: dict[str, Any], ordered: bool, options: SqlResultOptions) -> Finding:
    expected, found = run["reference"], run["query"]
    if "error" in expected:
        return Finding("unknown", "reference_fails", evidence=expected["error"])
    if "error" in found:
        return _of_error(found)
    if len(expected["rows"]) > options.most_rows:
        return Finding("unknown", "too_many_rows", len(expected["rows"]), options.most_rows)
    if expected["reads"] and not found["reads"]:
        # A result that is written down and not looked up is right on these rows only.
        return Finding("fail", "reads_no_table", 0, expected["reads"])
    return _compared(found, expected, ordered, options)


def _compared(found: dict[str, Any], expected: dict[str, Any], ordered: bool, options: SqlResultOptions) -> Finding:
    if found["columns"] != expected["columns"]:
        return Finding("fail", "columns", found["columns"], expected["columns"])
    if len(found["rows"]) != len(expected["rows"]):
        return Finding("fail", "rows", len(found["rows"]), len(expected["rows"]))
    same = same_rows(found["rows"], expected["rows"], ordered=ordered, column_order=options.column_order)
    if same is None:
        return Finding("unknown", "too_many_column_orders", found["columns"])
    return PASS if same else Finding("fail", "result", str(found["rows"][:3])[:200], str(expected["rows"][:3])[:200])


def _of_error(found: dict[str, Any]) -> Finding:
    error = str(found["error"])
    if found.get("slow"):
        return Finding("timeout", "steps", evidence=error)
    if found.get("memory"):
        return Finding("fail", "memory_limit", evidence=error)
    if any(word in error for word in _REFUSED) or "no rows are asked for" in error:
        return Finding("fail", "not_read_only", evidence=error)
    if "one statement" in error:
        return Finding("fail", "several_statements", evidence=error)
    if any(word in error for word in _ABSENT):
        return Finding("fail", "does_not_fit_schema", evidence=error)
    # A syntax error or an unknown function may be another dialect's right word.
    return Finding("unknown", "dialect", evidence=error)
