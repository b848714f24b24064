"""What a check is, and which checks there are (entry points `limoflow.checks`)."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from limoflow.plugins import operators
from schemas.run import RunSpec
from schemas.sample import Sample

GROUP = "limoflow.checks"
OWN = {
    "text_format": "services.verifier.text_format:TextFormat",
    "privacy": "services.verifier.privacy:Privacy",
    "code_static": "services.verifier.code_static:CodeStatic",
    "sql_static": "services.verifier.sql_static:SqlStatic",
    "math_steps": "services.verifier.math_steps:MathSteps",
    "math_answer": "services.verifier.math_answer:MathAnswer",
    "contamination": "services.verifier.contamination.check:Contamination",
    "judge": "services.verifier.judge.check:Judge",
    "injection": "services.verifier.injection:Injection",
}
MATH_DOMAINS = frozenset({"mathematics", "math", "maths", "arithmetic"})
CODE_DOMAINS = frozenset({"code", "coding", "programming", "python"})

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found: a verdict (G9), a short stable reason, the value that failed and the bound it failed.

    `replacement` is the instruction and response of a child that may go on in the place of a sample that fails.
    """

    verdict: Literal["pass", "fail", "unknown", "timeout"]
    reason: str | None = None
    value: float | str | None = None
    bound: float | str | None = None
    evidence: str | None = None
    replacement: tuple[str, str] | None = None


PASS = Finding("pass")


class Check(Protocol):
    """One check. `order` says how early it runs: cheap checks first.

    A check that needs no waiting returns its finding directly, so that the bulk of a stream costs no task switch.
    A check may have `options_of(run)`, which adds to its settings what the run says elsewhere; None turns it off.
    """

    name: str
    version: str
    order: int

    def applies(self, sample: Sample) -> bool:
        """Tell whether the check says anything about this sample."""
        ...

    def check(self, sample: Sample, options: Options) -> Finding | Awaitable[Finding | None] | None:
        """Return the finding; None where there was nothing to check."""
        ...


def domain_in(sample: Sample, domains: frozenset[str]) -> bool:
    """Tell whether the sample's domain, or the part before a `/`, is one of `domains`."""
    return sample.metadata.domain.casefold().partition("/")[0] in domains


def unknown_checks(spec: RunSpec) -> list[str]:
    """Return the names under `verify.checks` that no check has, for the command line."""
    return sorted(set(spec.verify.checks) - set(operators(GROUP, OWN)))
