"""What is wrong with the selection that a spec asks for, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from schemas.run import RunSpec
from services.selector.novelty.earlier import pinned_version
from services.selector.picking import named_strategy
from services.selector.shares_file import mixed_spec


def check_selection(spec: RunSpec, folder: Path) -> list[str]:
    """Return the problems: an unknown strategy or parameter, an index that is not there, scores without weight."""
    return list(_problems(spec, folder))


def _problems(spec: RunSpec, folder: Path) -> Iterator[str]:
    try:
        strategy = named_strategy(spec.select.diversity)
    except ValueError as error:
        yield str(error)
        strategy = None
    if strategy is not None and strategy.compares and not spec.score.embedding:
        yield (
            f"select.diversity.strategy: {strategy.name!r} compares embeddings, but score.embedding is false; "
            "set it to true, or choose top_score or random"
        )
    try:
        pinned_version(spec, folder)
    except ValueError as error:
        yield f"select.novelty: {error}"
    try:
        mixed_spec(spec, folder)
    except ValueError as error:
        yield str(error)
    if not any(spec.score.weights.values()):
        yield "score.weights: they add up to 0, so that no sample would have a score; give at least one a weight"
    curriculum = spec.select.curriculum
    if curriculum is not None and curriculum.by not in ("score", *spec.score.weights):
        known = ", ".join(("score", *sorted(spec.score.weights)))
        yield f"select.curriculum.by: {curriculum.by!r} is no weighted score; known: {known}"
