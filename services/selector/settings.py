"""Settings of the selector, from the environment."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SelectorSettings(BaseSettings):
    """What an operator may change; what a release depends on is in the RunSpec, never here.

    Attributes
    ----------
    sketch : int
        Distinct ids per window whose fate is counted exactly; above it the funnel is an estimate. All workers need
        the same value.
    polls_per_second : float
        How often the positions of a draining window are asked for.
    chunk : int
        Records written in one transaction while a window closes.
    unknown_run_records : int
        Records held for runs that nobody has announced; those beyond it become dead letters.
    """

    model_config = SettingsConfigDict(env_prefix="LIMOFLOW_SELECTOR_")

    sketch: int = Field(default=100_000, gt=1)
    polls_per_second: float = Field(default=5.0, gt=0.0)
    chunk: int = Field(default=5_000, gt=0)
    unknown_run_records: int = Field(default=50_000, ge=0)
