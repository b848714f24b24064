"""An evaluation: what a trained model can do."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Contract


class Evaluation(Contract):
    """Metrics of one model on one benchmark; the unit of each metric is in its name."""

    evaluation_id: str
    model_id: str
    release_id: str
    run_id: str
    benchmark: str
    items: int
    metrics: dict[str, float] = Field(default_factory=dict)
