"""What a check is, and which checks there are (entry points `limoflow.checks`)."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from limoflow.errors import UsageError
from limoflow.plugins import operators
from schemas.run import RunSpec
from schemas.sample import Sample, Verdict

GROUP = "limoflow.checks"
OWN = {
    "text_format": "services.verifier.text_format:TextFormat",
    "contamination": "services.verifier.contamination.check:Contamination",
    "judge": "services.verifier.judge.check:Judge",
    "groundedness": "services.verifier.groundedness:Groundedness",
    "language": "services.verifier.language:InLanguage",
    "mismatch": "services.verifier.mismatch:Mismatch",
    "toxicity": "services.verifier.toxicity:Toxicity",
    "injection": "services.verifier.injection:Injection",
    "privacy": "services.verifier.privacy:Privacy",
    "code_static": "services.verifier.code_static:CodeStatic",
    "code_tests": "services.verifier.code_tests:CodeTests",
    "sql_result": "services.verifier.sql_result:SqlResult",
    "sql_static": "services.verifier.sql_static:SqlStatic",
    "math_steps": "services.verifier.math_steps:MathSteps",
    "math_question": "services.verifier.math_question:MathQuestion",
    "math_answer": "services.verifier.math_answer:MathAnswer",
}
MATH_DOMAINS = frozenset({"mathematics", "math", "maths", "arithmetic"})
CODE_DOMAINS = frozenset({"code", "coding", "programming", "python"})

Options = Mapping[str, Any]


class Cost(IntEnum):
    """What a check costs, which is also the order in which checks run."""

    TEXT = 10
    STATIC = 20
    COMPARISON = 40
    INDEX = 50
    SANDBOX = 60
    MODEL = 80
    CHAT = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    verdict : {"pass", "fail", "unknown", "timeout"}
        Unreadable is `unknown`, never `pass` (G9).
    reason : str, optional
        A short stable word; what follows a colon is detail.
    value, bound : float or str, optional
        What failed, and what it failed.
    evidence : str, optional
        A piece of the sample that shows it; the handler bounds its length.
    replacement : tuple of str, optional
        Instruction and response to go on with instead: the handler makes a child of them and refuses the parent.
    """

    verdict: Verdict
    reason: str | None = None
    value: float | str | None = None
    bound: float | str | None = None
    evidence: str | None = None
    replacement: tuple[str, str] | None = None


PASS = Finding("pass")


class Check(Protocol):
    """One check.

    A check that needs no waiting returns its finding directly, so that the bulk of a stream costs no task switch.
    It may also have `options_of(run) -> Options | None`, where it needs more of the RunSpec than `verify.checks[NAME]`
    (None: nothing to do in this run); `async close()`; and constructor parameters `settings` (VerifierSettings), `chat`
    (a function from `schemas.run.Chat` to a client) and `models` (a function that returns `ScoringModels`).

    Attributes
    ----------
    cost : Cost
        Cheap checks run first.
    domains : frozenset of str, optional
        The domains it serves; None for every one.
    """

    name: str
    version: str
    cost: Cost
    domains: frozenset[str] | None

    def applies(self, sample: Sample) -> bool:
        """Tell whether the check says anything about this sample."""
        ...

    def check(self, sample: Sample, options: Options) -> Finding | Awaitable[Finding | None] | None:
        """Return the finding; None where there was nothing to check."""
        ...


def domain_in(sample: Sample, domains: frozenset[str]) -> bool:
    """Tell whether the sample's domain, or the part before a `/`, is one of `domains`."""
    return sample.metadata.domain.casefold().partition("/")[0] in domains


def check_problems(spec: RunSpec, folder: Path) -> list[str]:
    """Return what is wrong with the names, settings and files under `verify`, for the command line.

    Parameters
    ----------
    folder : Path
        Where relative paths begin.
    """
    from services.verifier.option_forms import wrong_settings

    known = list(operators(GROUP, OWN))
    verify = spec.verify
    problems = [_unknown(place, name, known) for place, name in _named(spec) if name not in known]
    problems += wrong_settings(verify)
    if verify.decontaminate is not None and "contamination" not in known:
        problems.append("verify.decontaminate: no check `contamination` is installed, so nothing would be looked up")
    if verify.decontaminate is not None:
        problems += _absent(verify.decontaminate.benchmarks, folder)
    return problems


def check_notes(spec: RunSpec) -> list[str]:
    """Return what of `verify` does nothing or can only be unknown, though it is no fault, for the command line."""
    from services.verifier.option_forms import unknown_settings

    return [*unknown_settings(spec.verify), *_without_endpoint(spec)]


def _without_endpoint(spec: RunSpec) -> Iterator[str]:
    verify = spec.verify
    if verify.chat is not None:
        return
    needs = "has no `verify.chat: {base_url: ..., model: ...}` to ask, and is unknown"
    if verify.checks.get("judge", False) is not False:
        yield f"verify.checks.judge: {needs}"
    yield from (
        f"{place}: ask:judge {needs}" for place, name in _named(spec) if name == "judge" and "verdicts" in place
    )
    if verify.decontaminate and verify.decontaminate.neighbours and verify.decontaminate.neighbours.judge:
        yield f"verify.decontaminate.neighbours.judge: {needs}"


def _absent(benchmarks: Sequence[str], folder: Path) -> list[str]:
    from services.verifier.contamination.items import benchmark_files

    try:
        benchmark_files(benchmarks, folder)
    except UsageError as error:
        return [str(error)]
    return []


def _named(spec: RunSpec) -> Iterator[tuple[str, str]]:
    verify = spec.verify
    yield from (("verify.checks", name) for name in sorted(verify.checks))
    yield from (("verify.weights", name) for name in sorted(verify.weights))
    for name, actions in sorted(verify.verdicts.items()):
        if name != "default":
            yield "verify.verdicts", name
        asked = (action.removeprefix("ask:") for action in actions.values() if action.startswith("ask:"))
        yield from ((f"verify.verdicts.{name}", other) for other in asked)


def _unknown(place: str, name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    meant = f"did you mean {nearest[0]!r}? " if nearest else ""
    return f"{place}: {name!r} is unknown; {meant}known: {', '.join(known)}"
