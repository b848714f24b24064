"""A measured figure, and how figures are shown and kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes
    ----------
    name, unit : str
    value : float
    goal : float, optional
        What it should reach; with `below` what it should not exceed.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    below: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.below else self.value >= self.goal


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| figure | measured | goal | |", "|---|---:|---:|---|"]
    for figure in figures:
        goal = "" if figure.goal is None else f"{'at most' if figure.below else 'at least'} {figure.goal:,g}"
        mark = {True: "reached", False: "MISSED", None: ""}[figure.reached]
        lines.append(f"| {figure.name} | {figure.value:,.4g} {figure.unit} | {goal} | {mark} |")
    return "\n".join(lines)


def keep(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON."""
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n", encoding="utf-8")
