"""Texts made to hold a process: each costs its CPU limit at most, and the next answer comes as ever."""

from __future__ import annotations

import time

import psutil
import pytest

from schemas.sample import Metadata, Sample
from services.verifier.answers import final_answer, needs_algebra, same
from services.verifier.math_steps import MathSteps
from services.verifier.question_rules import question_fault
from services.verifier.worker_pool import WorkerPool

CPU_SECONDS = 0.5
GRACE = 0.5
MEMORY = 2 << 30

BIG = "\\\\".join("&".join(f"{letter}_{{{row}}}" for letter in "abcdefghkm") for row in range(10))
# Handed to the worker as they are, past the bound on length that the check itself keeps.
FOR_MATH_VERIFY = {
    "tower of powers": ("9^{9^{9^{9}}}", "8^{8^{8^{8}}}"),
    "tower with letters": ("x^{x^{x^{x^{x^{9^{9^{9}}}}}}}", "x^{9^{9^{9^{9}}}}"),
    "factorial of a factorial": ("((99!)!)!+x", "(9^{99})!"),
    "large binomial": ("\\binom{10^{9}}{5\\cdot10^{8}}", "2^{10^{9}}"),
    "expansion": ("(a+b+c+d+e+f)^{60}", "(a+b+c+d+f+e)^{58}(a+b+c+d+e+f)"),
    "a million digits": ("7" * 1_000_000, "7" * 999_999 + "8"),
    "a million digits in a formula": ("x+" + "7" * 1_000_000, "x+" + "7" * 999_999 + "8"),
    "deep brackets": ("(" * 900 + "x" + ")" * 900, "x+1"),
    "deep fractions": ("\\frac{1}{1+" * 400 + "x" + "}" * 400, "x"),
    "deep roots": ("\\sqrt{" * 35 + "x" + "}" * 35, "\\sqrt{" * 34 + "x" + "}" * 34),
    "huge matrix": tuple(
        "\\begin{pmatrix}" + "\\\\".join("&".join([f"x_{{{row}}}"] * 45) for row in range(45))
        + f"{end}\\end{{pmatrix}}"
        for end in ("", "+1")
    ),
    "huge determinant": (f"\\begin{{vmatrix}}{BIG}\\end{{vmatrix}}", "x"),
    "equation of degree forty": ("x^{40}+3x^{39}-x^{7}+y^{31}=5", "x^{40}+3x^{39}-x^{7}+y^{33}=5"),
    "a sum of a billion terms": ("\\sum_{n=1}^{1000000000}\\frac{1}{n^{2}+\\sin n}", "1"),
    "an integral": ("\\int_0^1 \\sin(x^{x^{x}})\\ln(x)^{9} dx", "\\frac{1}{7}"),
}  # fmt: skip


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process, of the children that it has, and of those that have ended."""
    live = [one.cpu_times() for one in (process, *process.children())]
    own = process.cpu_times()
    return sum(one.user + one.system for one in live) + own.children_user + own.children_system


async def test_no_expression_holds_a_worker_longer_than_its_limit_and_the_rate_recovers() -> None:
    pytest.importorskip("math_verify")
    pool = WorkerPool(("-m", "services.verifier.math_worker", str(CPU_SECONDS), str(MEMORY)), size=1, deadline_s=60.0)
    easy = ["x^2+2x+1", "(x+1)^2"]
    passes = {"verdict": "pass", "reason": None}
    assert await pool.ask(easy) == passes
    (worker,) = (one for one in psutil.Process().children() if "services.verifier.math_worker" in one.cmdline())
    began = cpu_seconds(worker)
    for _ in range(10):
        assert await pool.ask(easy) == passes
    usual = (cpu_seconds(worker) - began) / 10
    held: dict[str, float] = {}
    for name, pair in FOR_MATH_VERIFY.items():
        before = cpu_seconds(worker)
        verdict = (await pool.ask(list(pair)))["verdict"]
        held[name] = max(0.0, cpu_seconds(worker) - before)
        assert verdict != "pass", name
        assert await pool.ask(easy) == passes, name
    assert {name: seconds for name, seconds in held.items() if seconds > CPU_SECONDS + GRACE} == {}
    began = cpu_seconds(worker)
    for _ in range(10):
        assert await pool.ask(easy) == passes
    assert (cpu_seconds(worker) - began) / 10 <= 2 * usual + 0.05
    await pool.close()


LONG = 40_000
IN_THE_PROCESS = [
    "answer is" + "\n" * LONG, "final " * LONG, "答案是" + " " * LONG, "####" + " \n" * LONG, "#" * LONG,
    "\\boxed{" * (LONG // 4),
    "\\boxed{1} and " * (LONG // 10), "<<" * LONG, "<<1+" * LONG + "=",
    "1" * LONG, "1," * LONG, "1 " * LONG, "=" * LONG,
    "1=1" * (LONG // 4), "1+" * LONG + "1=2",
    "(" * LONG, "$" * LONG, "\\text{" * LONG,
    "- " * LONG, "the answer to the " * LONG,
    "\\left" * LONG, "\\frac{" * LONG + "}" * LONG, "answer: " * LONG,
    "1/" * LONG, "\u00a0" * LONG, "一" * LONG, "a" * LONG + "!",
]  # fmt: skip


@pytest.mark.parametrize("text", IN_THE_PROCESS, ids=lambda text: repr(text[:12]))
def test_no_text_holds_the_service_itself(text: str) -> None:
    began = time.process_time()
    one = Sample(id="s", instruction=text, response=text, metadata=Metadata(domain="mathematics"))
    final_answer(text)
    MathSteps().check(one, {})
    question_fault(text)
    for length in (400, 2000):
        for other in ("5", text[: length - 1] + "7"):
            same(text[:length], other)
            needs_algebra(text[:length], other)
    assert time.process_time() - began < 2.0
