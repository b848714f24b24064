"""Settings of the generator; environment variables begin with LIMOFLOW_GENERATOR_."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class GeneratorSettings(BaseSettings):
    """How hard strategies try.

    Attributes
    ----------
    draws : int
        Draws of new numbers before `numeric_variation` gives a problem up.
    """

    model_config = SettingsConfigDict(env_prefix="LIMOFLOW_GENERATOR_")

    draws: int = Field(default=200, ge=1)
