"""Programs judged by what they write for a given input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from services.verifier.checks import PASS, Finding
from services.verifier.code.languages import Built
from services.verifier.sandbox.interface import Limits, Outcome, Sandbox

_MOST_TOLD = 300
_SLOW = {"cpu_limit", "wall_limit"}


@dataclass(frozen=True, slots=True)
class Case:
    """An input and the output that is expected."""

    stdin: str
    stdout: str


def cases_of(tests: Sequence[str]) -> list[Case] | None:
    """Return the cases of tests that are all JSON objects with `stdin` (or `input`) and `stdout` (or `output`)."""
    cases = []
    for text in tests:
        if not text.lstrip().startswith("{"):
            return None
        try:
            case = json.loads(text)
        except (ValueError, RecursionError):
            return None
        stdin, stdout = case.get("stdin", case.get("input", "")), case.get("stdout", case.get("output"))
        if not isinstance(stdin, str) or not isinstance(stdout, str):
            return None
        cases.append(Case(stdin, stdout))
    return cases or None


def same_output(found: str, expected: str) -> bool:
    """Tell whether two outputs are the same up to white space at the ends of lines and of the whole."""
    return _lines(found) == _lines(expected)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().replace("\r\n", "\n").split("\n")]


async def run_cases(sandbox: Sandbox, built: Built, cases: Sequence[Case], limits: Limits) -> Finding:
    """Run every case in a sandbox of its own, up to the first that is not met."""
    for number, case in enumerate(cases, 1):
        outcome = await sandbox.run(built.job(case.stdin.encode(errors="surrogatepass"), limits))
        finding = _finding(outcome, case, number)
        if finding.verdict != "pass":
            return finding
    return PASS


def _finding(outcome: Outcome, case: Case, number: int) -> Finding:
    where = f"case {number}: "
    errors = outcome.stderr.decode(errors="replace")[-_MOST_TOLD:]
    if outcome.status == "unavailable":
        return Finding("unknown", "no_sandbox", evidence=outcome.detail)
    if outcome.status in _SLOW:
        return Finding("timeout", outcome.status, evidence=where + (outcome.detail or ""))
    if outcome.status != "exited" or outcome.code != 0:
        word = "exit_status" if outcome.status == "exited" else outcome.status
        return Finding("fail", word, outcome.code, 0, where + errors)
    found = outcome.stdout.decode(errors="replace")
    if not same_output(found, case.stdout):
        return Finding("fail", "wrong_output", found[:_MOST_TOLD], case.stdout[:_MOST_TOLD], where + errors)
    return PASS


async def run_program(sandbox: Sandbox, built: Built | Outcome, cases: Sequence[Case], limits: Limits) -> Finding:
    """Judge what was built, or say why nothing was."""
    if isinstance(built, Built):
        return await run_cases(sandbox, built, cases, limits)
    if built.status == "unavailable":
        return Finding("unknown", "no_sandbox", evidence=built.detail)
    if built.status in _SLOW:
        return Finding("unknown", "compiler_too_slow", evidence=built.detail)
    if built.status != "exited":
        return Finding("unknown", f"compiler_{built.status}", evidence=built.detail)
    return Finding("fail", "does_not_compile", evidence=built.stderr.decode(errors="replace")[:600])
