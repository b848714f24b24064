"""Code and SQL with known truth: a sample of what benchmarks/code_checks.py measures in full."""

from __future__ import annotations

import random

import pytest

from benchmarks.code_checks import plain_verdict
from schemas.sample import Sample
from services.verifier.code_static import CodeStatic
from services.verifier.code_tests import CodeTests
from services.verifier.sandbox import best_sandbox
from services.verifier.settings import VerifierSettings
from services.verifier.sql_result import SqlResult
from tests.support.code_data import humaneval, mbpp, spider
from tests.support.mutants import sampled

pytestmark = pytest.mark.data


def drawn(samples: list[Sample], number: int) -> list[Sample]:
    if not samples:
        pytest.skip("the data is absent")
    return random.Random(4).sample(samples, min(number, len(samples)))


async def test_every_humaneval_reference_passes() -> None:
    samples = drawn(humaneval(), 164)
    check = CodeTests(VerifierSettings())
    findings = {each.id: await check.check(each, {}) for each in samples}
    await check.close()
    if any(found and found.reason == "no_sandbox" for found in findings.values()):
        pytest.skip("no sandbox here")
    assert {name: found for name, found in findings.items() if not found or found.verdict != "pass"} == {}
    assert all((found := CodeStatic().check(each, {})) and found.verdict == "pass" for each in samples)


async def test_mutants_are_judged_as_by_a_plain_run() -> None:
    samples = drawn(humaneval(), 40)
    plain = await best_sandbox()
    if plain.reason is not None:
        pytest.skip(plain.reason)
    check = CodeTests(VerifierSettings())
    differ = []
    for each in samples:
        for mutant in sampled(each.instruction + each.response, each.metadata.reference.entry_point, 1, each.id):
            expected = await plain_verdict(plain, mutant, each)
            found = await check.check(each.model_copy(update={"response": f"```python\n{mutant}\n```"}), {})
            assert found is not None
            if found.verdict != expected:
                differ.append((each.id, expected, found))
    await check.close()
    await plain.close()
    assert [one for one in differ if "pass" in {one[1], one[2].verdict}] == []
    assert len(differ) <= 2


async def test_mbpp_references_pass() -> None:
    check = CodeTests(VerifierSettings())
    findings = {each.id: await check.check(each, {}) for each in drawn(mbpp(), 40)}
    await check.close()
    if any(found and found.reason == "no_sandbox" for found in findings.values()):
        pytest.skip("no sandbox here")
    assert {name: found for name, found in findings.items() if not found or found.verdict != "pass"} == {}


async def test_spider_queries_run_on_their_schemas() -> None:
    check = SqlResult(VerifierSettings())
    findings = {each.id: await check.check(each, {}) for each in drawn(spider(), 60)}
    await check.close()
    if any(found and found.reason == "no_sandbox" for found in findings.values()):
        pytest.skip("no sandbox here")
    wrong = {name: found for name, found in findings.items() if not found or (found.verdict, found.reason) not in
             {("pass", None), ("unknown", "no_rows")}}  # fmt: skip
    assert wrong == {}
