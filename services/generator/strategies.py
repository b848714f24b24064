"""What a generation strategy is (entry points `limoflow.strategies`)."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Protocol

from limoflow.plugins import operators
from schemas.run import Run, RunSpec
from schemas.sample import Sample

GROUP = "limoflow.strategies"
OWN = {
    "numeric_variation": "services.generator.numeric_variation:NumericVariation",
    "self_instruct": "services.generator.self_instruct:SelfInstruct",
}


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a child, before it has an id.

    Attributes
    ----------
    answer : str, optional
        Its `reference.answer`, where the strategy knows it to be true.
    versions : dict
        Versions of prompts and models that made it, for the lineage.
    """

    instruction: str
    response: str
    answer: str | None = None
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no child was made: a short stable word, to be counted."""

    reason: str


class Strategy(Protocol):
    """Makes children of one original. The same `child_id` gives the same draws."""

    version: str

    def make(self, parent: Sample, child_id: str, run: Run) -> Draft | Refusal | Awaitable[Draft | Refusal]:
        """Return a child, or why there is none."""
        ...


def unknown_strategies(spec: RunSpec) -> list[str]:
    """Return the kinds of strategy in a spec that no plug-in offers, for the command line."""
    known: dict[str, Any] = operators(GROUP, OWN)
    return sorted({strategy.kind for strategy in spec.generate.strategies} - set(known))


def check_strategies(spec: RunSpec) -> list[str]:
    """Return what is wrong with a spec's strategies, a sentence each, for the command line's checks before a run."""
    known = ", ".join(operators(GROUP, OWN))
    problems = [
        f"generate.strategies: {kind!r} is not installed; known: {known}. Install the plug-in or correct the name."
        for kind in unknown_strategies(spec)
    ]
    if spec.generate.chat is None and any(strategy.kind == "self_instruct" for strategy in spec.generate.strategies):
        problems.append(
            "generate.strategies: 'self_instruct' needs generate.chat, which is not set; give its base_url and model, "
            "or take the strategy out."
        )
    return problems
