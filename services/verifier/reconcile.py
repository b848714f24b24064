"""Several verdicts on one sample become one: all, any, majority, weighted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.run import Verify
from schemas.sample import Verdict

Decision = Literal["keep", "mark", "reject"]
DEFAULT = {"pass": "keep", "fail": "reject", "unknown": "mark", "timeout": "mark"}


@dataclass(frozen=True, slots=True)
class Vote:
    """One check's verdict and what it leads to.

    Attributes
    ----------
    decision : {"keep", "mark", "reject"}
        Only a `pass` that is kept speaks for the sample and only `reject` against it; the rest abstains.
    """

    check: str
    verdict: Verdict
    decision: Decision
    weight: float = 1.0

    @property
    def supports(self) -> float:
        """Its weight where it speaks for the sample, else 0."""
        return self.weight if self.verdict == "pass" and self.decision == "keep" else 0.0

    @property
    def opposes(self) -> float:
        """Its weight where it speaks against the sample, else 0."""
        return self.weight if self.decision == "reject" else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the sample is refused, and whether it counts as verified."""

    refused: bool
    verified: bool


def action_of(verify: Verify, check: str, verdict: Verdict) -> str:
    """Return the action that a run names for a verdict of a check: its own, the default's, or the built-in one."""
    for name in (check, "default"):
        action = verify.verdicts.get(name, {}).get(verdict)
        if action is not None:
            return action
    return DEFAULT[verdict]


def settled_action(verdict: Verdict) -> Decision:
    """Return the built-in action: what an `ask` falls back to where the asked check has no verdict either."""
    return "keep" if verdict == "pass" else "reject" if verdict == "fail" else "mark"


def weight_of(verify: Verify, check: str) -> float:
    """Return the votes of a check: 1, but for the weights under `weighted`."""
    return verify.weights.get(check, 1.0) if verify.reconcile == "weighted" else 1.0


def outcome(rule: str, votes: Iterable[Vote]) -> Outcome:
    """Reconcile.

    `all`: one that opposes refuses; verified where every vote supports. `any`: one that supports is enough; refused
    where some oppose and none supports. `majority` and `weighted`: refused where those that oppose weigh at least as
    much as those that support (a tie is no proof), verified where the latter weigh more. No votes verify nothing.
    """
    cast = list(votes)
    supports, opposes = sum(vote.supports for vote in cast), sum(vote.opposes for vote in cast)
    against = any(vote.decision == "reject" for vote in cast)
    if rule == "all":
        kept = bool(cast) and all(vote.verdict == "pass" and vote.decision == "keep" for vote in cast)
        return Outcome(against, kept)
    if rule == "any":
        verified = any(vote.verdict == "pass" and vote.decision == "keep" for vote in cast)
        return Outcome(against and not verified, verified)
    return Outcome(opposes > 0 and opposes >= supports, supports > opposes)


def is_settled(rule: str, votes: Iterable[Vote], remaining: float) -> bool:
    """Tell whether checks that weigh `remaining` in all, still to run, cannot change the outcome."""
    cast = list(votes)
    if rule == "all":
        return any(vote.decision == "reject" for vote in cast)
    if rule == "any":
        return any(vote.supports > 0 for vote in cast)
    supports, opposes = sum(vote.supports for vote in cast), sum(vote.opposes for vote in cast)
    return supports - opposes > remaining or (opposes > 0 and opposes - supports >= remaining)


def disagreeing(verdicts: Mapping[str, Verdict], *, refused: bool) -> list[str]:
    """Return the checks that passed what was refused, or failed what was not."""
    opposite = "pass" if refused else "fail"
    return sorted(name for name, verdict in verdicts.items() if verdict == opposite)
