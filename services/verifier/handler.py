"""The verifier as a layer: run the checks that apply, reconcile their verdicts, refuse what failed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

from limoflow.layer import LayerResult, Rejection
from schemas.identity import child_id
from schemas.run import Run
from schemas.sample import CheckResult, Sample, Verification
from services.verifier.checks import Check, Finding, Options


class Verifier:
    """A layer that adds `metadata.verification`.

    Any `fail` refuses the sample, with reason `<check>:<reason>`. `unknown` and `timeout` let it go on marked
    (`verified` false), unless the check's settings in the run say `unknown: reject`. Where a check offers other words
    for a sample that it fails (masked personal data), a child with those words is verified in its place.
    """

    name = "verifier"
    version = "1"

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = sorted(checks, key=lambda check: (check.order, check.name))

    async def process(self, sample: Sample, run: Run) -> LayerResult:
        """Verify one sample, and the child that replaces it."""
        result, replacement = await self._verified(sample, run)
        if replacement is None:
            return result
        # A child has nothing left to replace: masking is idempotent.
        made, _ = await self._verified(_child(sample, *replacement), run)
        return LayerResult(made.passed, (*result.rejected, *made.rejected))

    async def _verified(self, sample: Sample, run: Run) -> tuple[LayerResult, tuple[str, str] | None]:
        results: dict[str, CheckResult] = {}
        refusal: Rejection | None = None
        replacement: tuple[str, str] | None = None
        verify = run.spec.verify
        for check in self._checks:
            options = _options(verify.checks, check, run)
            if options is None or not check.applies(sample):
                continue
            finding = check.check(sample, options)
            if inspect.isawaitable(finding):
                finding = await finding
            if finding is None:
                continue
            results[check.name] = _result(check, finding)
            if refusal is None and _refuses(finding, options):
                refusal = Rejection(sample, _reason(check, finding), finding.value, finding.bound)
                replacement = finding.replacement
                if verify.stop_at_first_failure:
                    break
        marked = sample.extended(verification=_reconciled(results))
        if refusal is None:
            return LayerResult(passed=(marked,)), None
        refused = Rejection(marked, refusal.reason, refusal.value, refusal.bound)
        return LayerResult(rejected=(refused,)), replacement

    async def close(self) -> None:
        """Release what the checks hold."""
        for check in self._checks:
            close = getattr(check, "close", None)
            if close is not None:
                await close()


def _options(settings: Mapping[str, Options | bool], check: Check, run: Run) -> Options | None:
    chosen = settings.get(check.name, True)
    if chosen is False:
        return None
    written: Options = {} if chosen is True else chosen
    of_run = getattr(check, "options_of", None)
    if of_run is None:
        return written
    more = of_run(run)
    return None if more is None else {**written, **more}


def _child(parent: Sample, instruction: str, response: str) -> Sample:
    identity = child_id(parent.id, Verifier.name, Verifier.version, 0)
    lineage = parent.lineage.model_copy(update={"parent": parent.id})
    changed = {"id": identity, "instruction": instruction, "response": response}
    return parent.model_copy(update=changed).extended(lineage=lineage)


def _refuses(finding: Finding, options: Options) -> bool:
    if finding.verdict == "fail":
        return True
    return finding.verdict in {"unknown", "timeout"} and options.get("unknown") == "reject"


def _reason(check: Check, finding: Finding) -> str:
    # A reason is a short stable word: what follows a colon is detail.
    word = (finding.reason or finding.verdict).partition(":")[0]
    return f"{check.name}:{word}"


def _result(check: Check, finding: Finding) -> CheckResult:
    return CheckResult(verdict=finding.verdict, reason=finding.reason, evidence=finding.evidence, version=check.version)


def _reconciled(results: Mapping[str, CheckResult]) -> Verification:
    verified = bool(results) and all(result.verdict == "pass" for result in results.values())
    return Verification(verified=verified, method="+".join(results) or "none", results=dict(results))
