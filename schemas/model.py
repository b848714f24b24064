"""A trained model: an adapter, what it was trained on, and its loss record."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Contract


class LossPoint(Contract):
    """Mean training loss (nats per answer token) of one optimiser step."""

    step: int
    loss: float


class TrainedModel(Contract):
    """Said by the trainer once an adapter is complete."""

    model_id: str
    release_id: str
    run_id: str
    window: int
    base_model: str
    adapter: str
    method: str = "lora"
    rows: int
    steps: int
    tokens: int
    losses: list[LossPoint] = Field(default_factory=list)
    files: dict[str, str] = Field(default_factory=dict)
