"""Agreement of the final answer with the reference."""

from __future__ import annotations

from collections.abc import Awaitable

from schemas.sample import Sample
from services.verifier.answer.shapes import LONGEST
from services.verifier.answers import final_answer, needs_algebra, same, yes_or_no
from services.verifier.checks import MATH_DOMAINS, PASS, Cost, Finding, Options
from services.verifier.settings import VerifierSettings
from services.verifier.worker_pool import WorkerDied, WorkerPool


class MathAnswer:
    """Final-answer agreement: exact for numbers, words and choices; math-verify (in killable processes) for the rest.

    What cannot be compared is `unknown`, what takes too long `timeout`; neither is ever a pass (G9).
    """

    name = "math_answer"
    version = "4"
    cost = Cost.COMPARISON
    domains: frozenset[str] | None = MATH_DOMAINS

    def __init__(self, settings: VerifierSettings | None = None) -> None:
        settings = settings or VerifierSettings()
        arguments = (
            "-m",
            "services.verifier.math_worker",
            str(settings.cpu_seconds),
            str(settings.worker_memory_bytes),
        )
        self._pool = WorkerPool(arguments, settings.workers, settings.deadline_seconds)

    def applies(self, sample: Sample) -> bool:
        """Mathematics whose reference answer is known."""
        reference = sample.metadata.reference
        return reference is not None and bool(reference.answer)

    def check(self, sample: Sample, options: Options) -> Finding | Awaitable[Finding]:  # noqa: ARG002 - the protocol's
        """Compare without algebra where that is certain, else ask a worker."""
        reference = sample.metadata.reference
        gold_text = (reference.answer if reference else None) or ""
        gold = final_answer(gold_text)
        gold_value = gold.text if gold and gold.marked else gold_text.strip()
        found = final_answer(sample.response)
        if (found is None or not found.marked) and yes_or_no(gold_value) is not None:
            found = yes_or_no(sample.response) or found
        if found is None:
            return Finding("fail", "no_final_answer", "none", gold_value[:80])
        agree = same(gold_value, found.text)
        if agree:
            return PASS
        if not found.marked:
            # The last number of an answer that was cut off is not its answer.
            return Finding("fail", "no_final_answer", found.text[:80], gold_value[:80])
        if agree is False:
            return Finding("fail", "answer_differs", found.text[:80], gold_value[:80])
        return self._unsettled(gold_value, found.text)

    async def close(self) -> None:
        """End the worker processes."""
        await self._pool.close()

    def _unsettled(self, gold: str, found: str) -> Finding | Awaitable[Finding]:
        longest = max(len(gold), len(found))
        if longest > LONGEST:
            return Finding("unknown", "too_long", longest, LONGEST)
        if not needs_algebra(gold, found):
            return Finding("unknown", "not_certain", found[:80], gold[:80])
        return self._compared(gold, found)

    async def _compared(self, gold: str, found: str) -> Finding:
        try:
            reply = await self._pool.ask([gold, found])
        except WorkerDied:
            return Finding("timeout", "comparison_timeout", found[:80], gold[:80])
        return Finding(reply["verdict"], reply["reason"], found[:80], gold[:80])
