"""Feedback: what the evaluator asks of the next round."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.base import Contract


class Feedback(Contract):
    """Shares per domain for the next round's generation and selection; they add up to 1."""

    run_id: str
    round: int
    shares: dict[str, Annotated[float, Field(ge=0.0, le=1.0)]]
    evidence: dict[str, float] = Field(default_factory=dict)
