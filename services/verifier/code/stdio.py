"""Programs judged by what they write for a given input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    """Return the cases of tests that are all JSON; None where one is something else.

    Forms: `{"stdin": ..., "stdout": ...}` (or `input` and `output`), a list of such, and `{"inputs": [...],
    "outputs": [...]}`.
    """
    cases = []
    for text in tests:
        if not text.lstrip().startswith(("{", "[")):
            return None
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return None
        for one in said if isinstance(said, list) else [said]:
            found = _of_object(one)
            if found is None:
                return None
            cases += found
    return cases or None


def _of_object(said: Any) -> list[Case] | None:
    if not isinstance(said, dict):
        return None
    inputs, outputs = said.get("inputs"), said.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list):
        inputs, outputs = [said.get("stdin", said.get("input", ""))], [said.get("stdout", said.get("output"))]
    if len(inputs) != len(outputs) or not all(isinstance(each, str) for each in (*inputs, *outputs)):
        return None
    return [Case(stdin, stdout) for stdin, stdout in zip(inputs, outputs, strict=True)]


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
