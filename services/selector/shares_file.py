"""Domain shares from a file that a run names: DoReMi's losses, or the evaluator's feedback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.feedback import Feedback
from schemas.run import Mixing, RunSpec
from services.selector.mixing import Shares, doremi_shares, fixed_shares, shares_after_feedback


def mixed_spec(spec: RunSpec, folder: Path) -> RunSpec:
    """Return the spec with `select.quotas.domain` as `select.mixing` says; the spec itself where it says nothing.

    Raises
    ------
    ValueError
        When the file is missing or does not hold shares; the message names the file.
    """
    mixing = spec.select.mixing
    if mixing is None:
        return spec
    quotas = {**spec.select.quotas, "domain": shares_of(mixing, spec.select.quotas.get("domain", {}), folder)}
    return spec.model_copy(update={"select": spec.select.model_copy(update={"quotas": quotas})})


def shares_of(mixing: Mixing, before: dict[str, float], folder: Path) -> Shares:
    """Return the shares that a file gives.

    Parameters
    ----------
    mixing : Mixing
    before : dict
        The shares of the round before, for feedback in scores.
    folder : Path
        Where relative paths begin.

    Raises
    ------
    ValueError
        As above.
    """
    path = folder / mixing.file
    try:
        text = path.read_text(encoding="utf-8")
        if mixing.kind == "doremi":
            steps = [_mapping(json.loads(line)) for line in text.splitlines() if line.strip()]
            domains = {domain for step in steps for domain in step}
            return doremi_shares(steps, domains, step_size=mixing.strength)
        found = json.loads(text)
        if mixing.kind == "feedback":
            return fixed_shares(Feedback.model_validate(found).shares)
        scores = _mapping(found)
        return shares_after_feedback(before or dict.fromkeys(scores, 1.0), scores, strength=mixing.strength)
    except (OSError, ValueError, ValidationError) as error:
        raise ValueError(f"select.mixing.file {mixing.file!r} gives no shares ({mixing.kind}): {error}") from error


def _mapping(found: Any) -> dict[str, float]:
    if not isinstance(found, dict) or not all(isinstance(value, int | float) for value in found.values()):
        raise ValueError(f"expected an object of domains and numbers, found {str(found)[:80]!r}")
    return {str(name): float(value) for name, value in found.items()}
