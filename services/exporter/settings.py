"""Settings of the exporter, from `LIMOFLOW_EXPORTER_*`."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class ExporterSettings(BaseSettings):
    """Where releases are written.

    Attributes
    ----------
    folder : Path
        Root of all release folders: `<folder>/<run name>/<run id>/window-<number>-<release id>/`.
    """

    model_config = SettingsConfigDict(env_prefix="LIMOFLOW_EXPORTER_", extra="ignore")

    folder: Path = Path(".limoflow/releases")
