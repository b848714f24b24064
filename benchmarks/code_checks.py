"""How often code_tests, code_static and sql_result are wrong about public data with known truth; minutes."""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence

from benchmarks.figures import Figure, table
from schemas.sample import Sample
from services.verifier.checks import Finding
from services.verifier.code_static import CodeStatic
from services.verifier.code_tests import CodeTests
from services.verifier.sandbox import best_sandbox
from services.verifier.sandbox.interface import Job, Limits, Sandbox
from services.verifier.settings import VerifierSettings
from services.verifier.sql_result import SqlResult
from tests.support.code_data import humaneval, mbpp, spider
from tests.support.mutants import query_mutants, sampled

_MUTANTS_EACH = 6
_QUERY_MUTANTS = 300
_MANY_DATABASES = 20


def measure() -> list[Figure]:
    """Return the figures; none where the data is absent."""
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    settings = VerifierSettings()
    code, sql, plain = CodeTests(settings), SqlResult(settings), await best_sandbox(settings)
    try:
        figures = [*_static(), *await _sql(sql), *await _sql_mutants(sql)]
        figures += await _references(code, "HumanEval", humaneval(), 100.0)
        figures += await _mutants(code, plain, humaneval())
        return figures + await _references(code, "MBPP", mbpp(), 99.0)
    finally:
        for each in (code, sql, plain):
            await each.close()


def _static() -> list[Figure]:
    samples = [*humaneval(), *(_with_entry_point(each) for each in mbpp())]
    wrong = [sample.id for sample in samples if (found := CodeStatic().check(sample, {})) and found.verdict == "fail"]
    return [Figure("references refused by code_static", 100 * len(wrong) / max(1, len(samples)), "%", 0, below=True)]


def _with_entry_point(sample: Sample) -> Sample:
    reference = sample.metadata.reference
    assert reference is not None
    names = [name for name in re.findall(r"^def (\w+)", sample.response, re.MULTILINE)
             if re.search(rf"\b{name}\b", (reference.tests or [""])[-1])]  # fmt: skip
    entry = reference.model_copy(update={"entry_point": names[0] if names else None})
    return sample.model_copy(update={"metadata": sample.metadata.model_copy(update={"reference": entry})})


async def _references(check: CodeTests, name: str, samples: Sequence[Sample], goal: float) -> list[Figure]:
    began = time.perf_counter()
    findings = [await check.check(sample, {}) for sample in samples]
    each = (time.perf_counter() - began) / max(1, len(samples)) * 1000
    passed = [found is not None and found.verdict == "pass" for found in findings]
    for sample, found, right in zip(samples, findings, passed, strict=True):
        if not right:
            sys.stderr.write(f"{sample.id}: {found}\n")
    return [
        Figure(f"{name}: references that pass code_tests", 100 * sum(passed) / max(1, len(passed)), "%", goal),
        Figure(f"{name}: code_tests, per sample", each, "ms"),
    ]


async def _mutants(check: CodeTests, plain: Sandbox, samples: Sequence[Sample]) -> list[Figure]:
    """Compare with a plain run, in one interpreter, of every mutant; one that never ends is no case of either."""
    counts: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        reference = sample.metadata.reference
        assert reference is not None
        whole = sample.instruction + sample.response
        for mutant in sampled(whole, reference.entry_point or "", _MUTANTS_EACH, sample.id):
            expected = await plain_verdict(plain, mutant, sample)
            found = await check.check(sample.model_copy(update={"response": f"```python\n{mutant}\n```"}), {})
            verdict = found.verdict if found else "unknown"
            counts[expected, verdict] += 1
            if expected != verdict:
                sys.stderr.write(f"{sample.id}: plain {expected}, here {found}\n{mutant[-300:]}\n")
    failing = sum(number for (expected, _), number in counts.items() if expected == "fail")
    passing = sum(number for (expected, _), number in counts.items() if expected == "pass")
    wrongly = sum(number for (expected, found), number in counts.items() if expected == "pass" and found != "pass")
    falsely = sum(number for (expected, found), number in counts.items() if expected != "pass" and found == "pass")
    return [
        Figure("HumanEval mutants", sum(counts.values()), ""),
        Figure("failing mutants that fail here", 100 * counts["fail", "fail"] / max(1, failing), "%", 95),
        Figure("failing or endless mutants that pass here", falsely, "", 0, below=True),
        Figure(f"of {passing} passing mutants, refused here", wrongly, "", 0, below=True),
    ]


async def plain_verdict(sandbox: Sandbox, program: str, sample: Sample) -> str:
    """Return what a run of program and tests in one interpreter says."""
    reference = sample.metadata.reference
    assert reference is not None
    assert reference.tests is not None
    source = "\n".join([program, *reference.tests, f"check({reference.entry_point})"])
    outcome = await sandbox.run(Job(python=source, limits=Limits(cpu_seconds=5, wall_seconds=20)))
    if outcome.status in {"cpu_limit", "wall_limit"}:
        return "timeout"
    return "pass" if (outcome.status, outcome.code) == ("exited", 0) else "fail"


async def _sql(check: SqlResult) -> list[Figure]:
    samples = spider()
    began = time.perf_counter()
    found = Counter([_word(await check.check(sample, {})) for sample in samples])
    each = (time.perf_counter() - began) / max(1, len(samples)) * 1000
    share = 100 / max(1, len(samples))
    return [
        Figure("Spider dev queries that run and agree with themselves", share * found["pass"], "%", 90),
        Figure("Spider dev queries with no row in any made database", share * found["unknown:no_rows"], "%"),
        Figure("Spider dev queries refused or not run", sum(found.values()) - found["pass"] - found["unknown:no_rows"],
               "", 0, below=True),
        Figure("sql_result, per sample", each, "ms"),
    ]  # fmt: skip


async def _sql_mutants(check: SqlResult) -> list[Figure]:
    """Count wrong queries that pass: a mutant is surely wrong where one of many more databases tells it apart."""
    pairs = [(sample, mutant) for sample in spider() for mutant in query_mutants(sample.response)]
    found: Counter[str] = Counter()
    for sample, mutant in random.Random(4).sample(pairs, min(_QUERY_MUTANTS, len(pairs))):
        changed = sample.model_copy(update={"response": mutant})
        verdict = await check.check(changed, {})
        many = (
            await check.check(changed, {"databases": _MANY_DATABASES})
            if verdict and verdict.verdict == "pass"
            else None
        )
        found["passes, is wrong" if many and many.verdict == "fail" else verdict.verdict if verdict else "none"] += 1
    wrong = max(1, found["fail"] + found["passes, is wrong"])
    return [
        Figure("Spider queries with one operator changed", sum(found.values()), ""),
        Figure("of those surely wrong, passed by sql_result", 100 * found["passes, is wrong"] / wrong, "%"),
        Figure("of all, passed: no database of 20 tells them apart", found["pass"], ""),
        Figure("of all, unknown or timeout", found["unknown"] + found["timeout"], ""),
    ]


def _word(finding: Finding | None) -> str:
    if finding is None:
        return "none"
    return finding.verdict if finding.reason is None else f"{finding.verdict}:{finding.reason}"


if __name__ == "__main__":
    print(table(measure()))
