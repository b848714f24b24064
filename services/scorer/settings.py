"""Settings of the scorer, from the environment."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class ScorerSettings(BaseSettings):
    """What an operator may change.

    Attributes
    ----------
    scores : tuple of str
        Names of the score plug-ins that run; empty means all that are installed.
    """

    model_config = SettingsConfigDict(env_prefix="LIMOFLOW_SCORER_", extra="ignore")

    scores: tuple[str, ...] = ()
