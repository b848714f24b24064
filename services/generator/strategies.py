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
