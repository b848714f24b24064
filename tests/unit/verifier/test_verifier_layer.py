from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from limoflow.errors import DependencyUnavailable
from schemas.run import Run, RunSpec
from schemas.sample import Lineage, Metadata, Reference, Sample
from services.verifier.app import layer
from services.verifier.checks import OWN, Cost, Finding, Options, check_notes, check_problems
from services.verifier.handler import Verifier
from services.verifier.language import InLanguage
from services.verifier.math_answer import MathAnswer
from services.verifier.option_forms import FORMS
from services.verifier.settings import VerifierSettings
from services.verifier.worker_pool import WorkerDied, WorkerPool
from tests.support.stack import REPOSITORY, until


def make_run(**verify: Any) -> Run:
    return Run.model_validate({"run_id": "r", "spec": {"name": "r", "sources": [{"path": "x"}], "verify": verify}})


def sample(response: str, answer: str | None = None, domain: str = "mathematics") -> Sample:
    reference = Reference(answer=answer) if answer else None
    return Sample(
        id="s", instruction="Do it.", response=response, metadata=Metadata(domain=domain, reference=reference)
    )


class Fixed:
    version = "9"
    domains: frozenset[str] | None = None

    def __init__(self, name: str, order: int, finding: Finding | None) -> None:
        self.name, self.cost, self._finding = name, list(Cost)[order - 1], finding
        self.asked = 0

    def applies(self, sample: Sample) -> bool:
        return True

    def check(self, sample: Sample, options: Options) -> Finding | None:
        self.asked += 1
        return self._finding


@pytest.fixture
async def algebra() -> AsyncIterator[MathAnswer]:
    check = MathAnswer(VerifierSettings())
    yield check
    await check.close()


async def test_a_good_sample_passes_verified_with_the_time_of_each_check() -> None:
    verifier = layer()
    result = await verifier.process(sample("2+3=<<2+3=5>>5\n#### 5", "5"), make_run())
    (passed,) = result.passed
    verification = passed.metadata.verification
    assert verification is not None
    assert verification.verified
    assert set(verification.results) == {"text_format", "privacy", "injection", "math_steps", "math_answer"}
    assert all(one.seconds is not None and one.seconds >= 0 for one in verification.results.values())
    await verifier.close()


async def test_a_failure_refuses_with_check_reason_value_and_bound() -> None:
    verifier = layer()
    result = await verifier.process(sample("2+3=<<2+3=6>>6\n#### 6", "5"), make_run())
    (refused,) = result.rejected
    assert not result.passed
    assert (refused.reason, refused.value, refused.bound) == ("math_steps:wrong_step", "6", "5")
    verification = refused.sample.metadata.verification
    assert verification is not None
    assert "math_answer" not in verification.results, "checks after the first failure are not run"


async def test_every_failure_is_recorded_on_request_and_the_first_is_the_reason() -> None:
    verifier = layer()
    result = await verifier.process(sample("2+3=<<2+3=6>>6\n#### 6", "5"), make_run(stop_at_first_failure=False))
    (refused,) = result.rejected
    verification = refused.sample.metadata.verification
    assert refused.reason == "math_steps:wrong_step"
    assert verification is not None
    assert verification.results["math_answer"].verdict == "fail"


async def test_a_check_is_turned_off_by_name() -> None:
    verifier = layer()
    run = make_run(checks={"math_steps": False, "math_answer": False})
    result = await verifier.process(sample("2+3=<<2+3=6>>6\n#### 6", "5"), run)
    assert len(result.passed) == 1


@pytest.mark.parametrize("verdict", ["unknown", "timeout"])
async def test_what_is_unsettled_goes_on_marked_unless_the_run_refuses_it(verdict: Any) -> None:
    verifier = Verifier([Fixed("a", 1, Finding("pass")), Fixed("b", 2, Finding(verdict, "why: detail"))])
    (passed,) = (await verifier.process(sample("x"), make_run())).passed
    assert passed.metadata.verification is not None
    assert not passed.metadata.verification.verified
    (refused,) = (await verifier.process(sample("x"), make_run(checks={"b": {"unknown": "reject"}}))).rejected
    assert refused.reason == "b:why"


async def test_a_sample_that_no_check_judged_is_not_verified() -> None:
    (passed,) = (await Verifier([Fixed("a", 1, None)]).process(sample("x"), make_run())).passed
    assert passed.metadata.verification is not None
    assert not passed.metadata.verification.verified


async def test_cheap_checks_run_first() -> None:
    late, early = Fixed("late", 7, Finding("pass")), Fixed("early", 1, Finding("fail", "x"))
    await Verifier([late, early]).process(sample("x"), make_run())
    assert (early.asked, late.asked) == (1, 0)


def test_an_unknown_check_is_named() -> None:
    spec = RunSpec.model_validate({"name": "r", "sources": [{"path": "x"}], "verify": {"checks": {"maths": {}}}})
    (problem,) = check_problems(spec, Path.cwd())
    assert "verify.checks: 'maths' is unknown" in problem
    assert "did you mean 'math_steps'" in problem or "did you mean 'math_answer'" in problem


@pytest.mark.parametrize(
    ("checks", "problem", "note"),
    [
        (
            {"privacy": {"action": "msk"}},
            "privacy.action: Input should be 'reject', 'mask' or 'report'",
            "",
        ),
        ({"privacy": {"kinds": ["emial"]}}, "verify.checks.privacy.kinds.0", ""),
        ({"code_tests": {"cpu_seconds": -1}}, "verify.checks.code_tests.cpu_seconds", ""),
        ({"judge": {"votes": "three"}}, "verify.checks.judge.votes", "verify.checks.judge: has no `verify.chat"),
        ({"code_tests": {"cpu_secnds": 1}}, "", "verify.checks.code_tests.cpu_secnds: the check has no such setting"),
        ({"mismatch": {"least_cosine": 0.2, "unknown": "reject"}, "privacy": False}, "", ""),
    ],
)
def test_settings_that_cannot_work_are_refused_and_those_that_do_nothing_told(
    checks: dict[str, Any], problem: str, note: str
) -> None:
    spec = RunSpec.model_validate({"name": "r", "sources": [{"path": "x"}], "verify": {"checks": checks}})
    problems, notes = check_problems(spec, Path.cwd()), check_notes(spec)
    assert (len(problems), len(notes)) == (bool(problem), bool(note))
    assert problem in "".join(problems)
    assert note in "".join(notes)


def test_every_check_of_ours_has_a_form_for_its_settings() -> None:
    assert FORMS.keys() == OWN.keys()


async def test_a_check_that_is_asked_need_not_be_named() -> None:
    told = InLanguage()
    verdicts = {"a": {"unknown": "ask:language"}}
    (passed,) = (await Verifier([Fixed("a", 1, Finding("unknown")), told]).process(
        sample("What is it that you want of me?"), make_run(verdicts=verdicts)
    )).passed  # fmt: skip
    assert passed.metadata.verification is not None
    assert "language" in passed.metadata.verification.results


def votes(*verdicts: str) -> list[Fixed]:
    return [Fixed(f"c{at}", at, Finding(verdict, "why")) for at, verdict in enumerate(verdicts, 1)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "verdicts", "passes", "verified"),
    [
        ("all", "pass fail pass", False, False),
        ("all", "pass unknown", True, False),
        ("any", "fail pass", True, True),
        ("any", "fail unknown", False, False),
        ("any", "unknown", True, False),
        ("majority", "fail pass pass", True, True),
        ("majority", "fail pass", False, False),
        ("majority", "unknown unknown pass", True, True),
        ("majority", "unknown", True, False),
    ],
)
@pytest.mark.parametrize("stop", [True, False])
async def test_verdicts_are_reconciled_alike_whether_or_not_all_checks_run(
    rule: str, verdicts: str, passes: bool, verified: bool, stop: bool
) -> None:
    run = make_run(reconcile=rule, stop_at_first_failure=stop)
    result = await Verifier(votes(*verdicts.split())).process(sample("x"), run)
    (end,) = result.passed or [refused.sample for refused in result.rejected]
    assert bool(result.passed) is passes
    assert end.metadata.verification is not None
    assert end.metadata.verification.verified is verified


async def test_weights_decide_and_who_disagrees_is_kept_in_the_sample() -> None:
    run = make_run(reconcile="weighted", weights={"c1": 3}, stop_at_first_failure=False)
    (passed,) = (await Verifier(votes("pass", "fail", "fail")).process(sample("x"), run)).passed
    assert passed.metadata.verification is not None
    assert passed.metadata.verification.disagreement == ["c2", "c3"]
    assert passed.metadata.verification.rule == "weighted"


async def test_what_cannot_change_the_outcome_is_not_run() -> None:
    checks = votes("pass", "pass", "fail")
    assert (await Verifier(checks).process(sample("x"), make_run(reconcile="majority"))).passed
    assert [check.asked for check in checks] == [1, 1, 0]


async def test_another_check_is_asked_only_where_the_run_says_so_and_decides() -> None:
    verdicts = {"c1": {"unknown": "ask:c2"}}
    for first, second, passes, asked in (
        ("pass", "fail", True, 0),
        ("unknown", "pass", True, 1),
        ("unknown", "fail", False, 1),
        ("unknown", "unknown", True, 1),
    ):
        checks = votes(first, second)
        result = await Verifier(checks).process(sample("x"), make_run(verdicts=verdicts))
        assert (bool(result.passed), checks[1].asked) == (passes, asked)
    in_a_ring = {"c1": {"unknown": "ask:c2"}, "c2": {"unknown": "ask:c1"}}
    assert (await Verifier(votes("unknown", "unknown")).process(sample("x"), make_run(verdicts=in_a_ring))).passed


async def test_a_check_that_breaks_is_unknown_and_an_outage_is_passed_on() -> None:
    class Breaking(Fixed):
        error: Exception = ValueError("x" * 5000)

        def check(self, sample: Sample, options: Options) -> Finding | None:
            raise self.error

    check = Breaking("c1", 1, None)
    (passed,) = (await Verifier([check]).process(sample("x"), make_run())).passed
    assert passed.metadata.verification is not None
    found = passed.metadata.verification.results["c1"]
    assert (found.verdict, found.reason) == ("unknown", "error: ValueError")
    assert found.evidence is not None
    assert len(found.evidence) == 1000
    check.error = DependencyUnavailable("out")
    with pytest.raises(DependencyUnavailable):
        await Verifier([check]).process(sample("x"), make_run())


async def test_a_replacement_makes_a_child_that_is_checked_and_the_parent_is_refused() -> None:
    class Masking(Fixed):
        def check(self, sample: Sample, options: Options) -> Finding | None:
            if "secret" not in sample.response:
                return Finding("pass")
            return Finding("pass", "masked", replacement=(sample.instruction, self.version))

    one = sample("secret").extended(lineage=Lineage(run_id="r", window=0, source_ref="a"))
    check = Masking("mask", 1, None)
    result = await Verifier([check]).process(one, make_run())
    again = await Verifier([check]).process(one, make_run())
    (child,), (parent,) = result.passed, result.rejected
    assert (child.response, child.lineage.parent, parent.sample.id, parent.reason) == ("9", "s", "s", "mask:masked")
    assert child.id == again.passed[0].id != "s"
    check.version = "still secret"
    result = await Verifier([check]).process(one, make_run())
    assert not result.passed
    assert [refused.reason for refused in result.rejected] == ["mask:masked", "mask:replacement_not_stable"]


async def test_algebra_is_compared_by_math_verify(algebra: MathAnswer) -> None:
    pytest.importorskip("math_verify")
    cases = [
        ("\\frac{\\sqrt{2}}{2}", "\\boxed{\\frac{1}{\\sqrt{2}}}", "pass"),
        ("x^2+2x+1", "\\boxed{(x+1)^2}", "pass"),
        ("x^2", "\\boxed{x^3}", "fail"),
    ]
    for gold, response, verdict in cases:
        finding = algebra.check(sample(response, gold), {})
        assert not isinstance(finding, Finding)
        assert (await finding).verdict == verdict, gold


async def test_an_answer_that_takes_too_long_is_a_timeout_and_the_next_one_is_answered() -> None:
    pytest.importorskip("math_verify")
    check = MathAnswer(VerifierSettings(cpu_seconds=2))
    tower, algebra_pair = "\\boxed{9^{9^{9^{9}}}}", ("x+1", "\\boxed{1+x}")
    slow = check.check(sample(tower, "8^{8^{8^{8}}}"), {})
    assert not isinstance(slow, Finding)
    assert (await slow).verdict in {"timeout", "unknown"}, "never a pass"
    quick = check.check(sample(algebra_pair[1], algebra_pair[0]), {})
    assert not isinstance(quick, Finding)
    assert (await quick).verdict == "pass"
    await check.close()


def test_an_overlong_answer_is_unknown_and_no_worker_is_asked() -> None:
    finding = MathAnswer().check(sample("\\boxed{" + "x+" * 500 + "1}", "x" * 3000 + "^2"), {})
    assert isinstance(finding, Finding)
    assert (finding.verdict, finding.reason) == ("unknown", "too_long")


ECHO = """
import sys, json, time
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request == "die": sys.exit(1)
    if request == "hang":
        while True: time.sleep(1)
    print(line, end="", flush=True)
"""


async def test_a_worker_that_hangs_or_dies_is_replaced() -> None:
    pool = WorkerPool(("-c", ECHO), size=2, deadline_s=1.0)
    for bad in ("die", "hang"):
        with pytest.raises(WorkerDied):
            await pool.ask(bad)
        assert await pool.ask("ok") == "ok"
    answers = await asyncio.gather(*(pool.ask(number) for number in range(20)))
    assert answers == list(range(20))
    await pool.close()


async def test_a_worker_that_never_gets_ready_is_a_death_not_a_hang() -> None:
    pool = WorkerPool(("-c", "import time; time.sleep(60)"), size=1, deadline_s=1.0, start_deadline_s=0.5)
    with pytest.raises(WorkerDied):
        await pool.ask("x")
    await pool.close()


OWNER = """
import asyncio, sys
from services.verifier.worker_pool import WorkerPool

async def main():
    pool = WorkerPool(("-c", sys.argv[1]), size=1, deadline_s=60.0)
    print(await pool.ask("pid"), flush=True)
    await pool.ask("spin")

asyncio.run(main())
"""
BUSY = """
import json, os, sys
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    if json.loads(line) == "pid": print(os.getpid(), flush=True)
    else:
        while True: pass
"""


def test_a_busy_worker_dies_with_its_service() -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, BUSY], stdout=subprocess.PIPE, cwd=REPOSITORY)
    assert owner.stdout is not None
    worker = int(owner.stdout.readline())
    owner.kill()
    owner.wait(timeout=30)
    owner.stdout.close()
    until(lambda: not psutil.pid_exists(worker), 30.0, "the end of the worker")
