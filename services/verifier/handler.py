"""The verifier as a layer: run the checks that apply, cheapest first, reconcile, keep or refuse."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from limoflow.errors import LimoflowError
from limoflow.layer import LayerResult, Rejection
from schemas.run import Run, Verify
from schemas.sample import CheckResult, Sample, Verdict, Verification
from services.verifier.checks import Check, Finding, Options, domain_in
from services.verifier.masked import masked_child
from services.verifier.reconcile import (
    Decision,
    Vote,
    action_of,
    disagreeing,
    is_settled,
    outcome,
    settled_action,
    weight_of,
)

EVIDENCE_CHARACTERS = 1000
WORD_CHARACTERS = 200
_ASK = "ask:"


class Verifier:
    """A layer that adds `metadata.verification`; docs/checks/README.md has the rules.

    A refused sample's reason is `<check>:<reason>` of the cheapest check that spoke against it. A check that fails
    with an exception of its own is `unknown` (docs/decisions/0030); an outage of what it depends on is passed on, so
    that the stage waits and tries again.

    Parameters
    ----------
    checks : sequence of Check
    clock : callable, optional
        Seconds; for the time of each check, which goes to metrics and into the sample but into no hash (G3).
    """

    name = "verifier"
    version = "2"

    def __init__(self, checks: Sequence[Check], clock: Callable[[], float] = time.perf_counter) -> None:
        self._checks = sorted(checks, key=lambda check: (check.cost, check.name))
        self._clock = clock

    async def process(self, sample: Sample, run: Run) -> LayerResult:
        """Verify one sample.

        Raises
        ------
        LimoflowError
            What a check says of its dependencies.
        """
        seen = await self._examine(sample, run)
        if seen.replaced is None or seen.refuses:
            return seen.result()
        check, finding = seen.replaced
        assert finding.replacement is not None  # noqa: S101 - that is how it got here
        child = masked_child(sample, finding.replacement, self.name, f"{self.version}/{check.name}/{check.version}")
        parent = Rejection(seen.marked(), _reason(check.name, finding), finding.value, finding.bound)
        again = await self._examine(child, run)
        if again.replaced is not None:
            again.oppose(*again.replaced)
        made = again.result()
        return LayerResult(made.passed, (parent, *made.rejected))

    async def close(self) -> None:
        """Release what the checks hold."""
        for check in self._checks:
            close = getattr(check, "close", None)
            if close is not None:
                await close()

    async def _examine(self, sample: Sample, run: Run) -> _Examination:
        seen = _Examination(sample, run.spec.verify)
        asked_only = seen.asked_only()
        due = [
            (check, options)
            for check in self._checks
            if check.name not in asked_only and (options := _options(check, run)) is not None and _serves(check, sample)
        ]
        names = [*asked_only, *(check.name for check, _ in due)]
        remaining = sum(weight_of(seen.verify, name) for name in names)
        for check, options in due:
            remaining -= weight_of(seen.verify, check.name)
            await self._judge(seen, check, options, run)
            if seen.replaced is not None or (seen.verify.stop_at_first_failure and seen.settled(remaining)):
                break
        return seen

    async def _judge(self, seen: _Examination, check: Check, options: Options, run: Run) -> Verdict | None:
        """Run one check, and those that its verdict asks; return the verdict, None where it has none."""
        finding = await self._run(seen, check, options)
        if finding is None:
            return None
        action = action_of(seen.verify, check.name, finding.verdict)
        if finding.verdict in {"unknown", "timeout"} and options.get("unknown") == "reject":
            action = "reject"
        if action.startswith(_ASK):
            # Where the asked check decides, it votes, and this one does not.
            if not await self._asked(seen, action.removeprefix(_ASK), run):
                seen.vote(check, finding, settled_action(finding.verdict))
        else:
            seen.vote(check, finding, "keep" if action == "keep" else "mark" if action == "mark" else "reject")
        return finding.verdict

    async def _asked(self, seen: _Examination, name: str, run: Run) -> bool:
        """Ask another check in place of one; True where it says pass or fail, and so speaks for both."""
        if name in seen.results:
            return seen.results[name].verdict in {"pass", "fail"}
        for check in self._checks:
            if check.name == name and _serves(check, seen.sample):
                options = _options(check, _naming(name, run))
                return options is not None and await self._judge(seen, check, options, run) in {"pass", "fail"}
        return False

    async def _run(self, seen: _Examination, check: Check, options: Options) -> Finding | None:
        began = self._clock()
        try:
            finding = check.check(seen.sample, options)
            if inspect.isawaitable(finding):
                finding = await finding
        except LimoflowError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a text provokes in one check is this text's verdict
            finding = Finding("unknown", f"error: {type(error).__name__}", evidence=str(error))
        if finding is None:
            return None
        finding = _bounded(finding)
        seen.results[check.name] = _result(check, finding, self._clock() - began)
        if finding.replacement is not None and seen.replaced is None:
            seen.replaced = (check, finding)
        return finding


class _Examination:
    """What was found of one sample so far."""

    def __init__(self, sample: Sample, verify: Verify) -> None:
        self.sample = sample
        self.verify = verify
        self.results: dict[str, CheckResult] = {}
        self.replaced: tuple[Check, Finding] | None = None
        self._votes: list[Vote] = []
        self._against: list[tuple[Check, Finding]] = []

    def asked_only(self) -> set[str]:
        """Return the checks that run when another asks for them, and not by themselves."""
        actions = (action for chosen in self.verify.verdicts.values() for action in chosen.values())
        return {action.removeprefix(_ASK) for action in actions if action.startswith(_ASK)}

    def vote(self, check: Check, finding: Finding, decision: Decision) -> None:
        """Count a verdict."""
        self._votes.append(Vote(check.name, finding.verdict, decision, weight_of(self.verify, check.name)))
        if decision == "reject":
            self._against.append((check, finding))

    def oppose(self, check: Check, finding: Finding) -> None:
        """Refuse whatever else was found: a replacement that must be replaced again is none."""
        again = Finding("fail", "replacement_not_stable", finding.value, finding.bound)
        self.results[check.name] = _result(check, again, 0.0)
        self._votes = [Vote(check.name, "fail", "reject")]
        self._against = [(check, again)]

    def settled(self, remaining: float) -> bool:
        """Tell whether what is still to run cannot change the outcome."""
        return is_settled(self.verify.reconcile, self._votes, remaining)

    @property
    def refuses(self) -> bool:
        """Whether the sample is refused by what was found so far."""
        return outcome(self.verify.reconcile, self._votes).refused

    def marked(self) -> Sample:
        """Return the sample with what was found."""
        rule = self.verify.reconcile
        end = outcome(rule, self._votes)
        verdicts = {name: result.verdict for name, result in self.results.items()}
        # What is not set is not written: most samples have neither.
        extra = {
            **({} if rule == "all" else {"rule": rule}),
            **({"disagreement": names} if (names := _disagreement(verdicts, refused=end.refused)) else {}),
        }
        method = "+".join(self.results) or "none"
        return self.sample.extended(
            verification=Verification(verified=end.verified, method=method, results=self.results, **extra)
        )

    def result(self) -> LayerResult:
        """Return the sample by its door."""
        if not self.refuses:
            return LayerResult(passed=(self.marked(),))
        check, finding = self._against[0]
        reason = _reason(check.name, finding)
        return LayerResult(rejected=(Rejection(self.marked(), reason, finding.value, finding.bound),))


def _disagreement(verdicts: Mapping[str, Verdict], *, refused: bool) -> list[str]:
    return disagreeing(verdicts, refused=refused) if {"pass", "fail"} <= set(verdicts.values()) else []


def _serves(check: Check, sample: Sample) -> bool:
    return (check.domains is None or domain_in(sample, check.domains)) and check.applies(sample)


def _naming(name: str, run: Run) -> Run:
    """Return the run with a check named that another one asks: asking for it is naming it."""
    verify = run.spec.verify
    if name in verify.checks:
        return run
    named = verify.model_copy(update={"checks": {**verify.checks, name: {}}})
    return run.model_copy(update={"spec": run.spec.model_copy(update={"verify": named})})


def _options(check: Check, run: Run) -> Options | None:
    chosen = run.spec.verify.checks.get(check.name, True)
    if chosen is False:
        return None
    own: Callable[[Run], Options | None] | None = getattr(check, "options_of", None)
    if own is not None:
        return own(run)
    return {} if chosen is True else chosen


def _reason(check: str, finding: Finding) -> str:
    # A reason is a short stable word: what follows a colon is detail.
    return f"{check}:{(finding.reason or finding.verdict).partition(':')[0]}"


def _bounded(finding: Finding) -> Finding:
    return replace(
        finding,
        reason=finding.reason and finding.reason[:WORD_CHARACTERS],
        value=finding.value[:WORD_CHARACTERS] if isinstance(finding.value, str) else finding.value,
        bound=finding.bound[:WORD_CHARACTERS] if isinstance(finding.bound, str) else finding.bound,
        evidence=finding.evidence and finding.evidence[:EVIDENCE_CHARACTERS],
    )


def _result(check: Check, finding: Finding, seconds: float) -> CheckResult:
    return CheckResult(
        verdict=finding.verdict,
        reason=finding.reason,
        evidence=finding.evidence,
        seconds=round(seconds, 6),
        version=check.version,
    )
