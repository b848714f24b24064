"""Settings of the ingestor; environment variables begin with LIMOFLOW_INGESTOR_."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class IngestorSettings(BaseSettings):
    """How much is read at once, and how large a row may be.

    Attributes
    ----------
    batch_rows, batch_bytes : int
        Bounds of one transaction.
    max_sample_bytes : int
        A larger row becomes a dead letter.
    max_dead_letter_bytes : int
        Original bytes that a dead letter keeps at most; a header says so where it was cut.
    max_unpacked_bytes : int
        Memory that reading one Parquet file may take, a batch of rows unpacked; a file that needs more for a single row
        becomes a dead letter from there on.
    scan_seconds : float
        Time between two looks at a followed folder.
    """

    model_config = SettingsConfigDict(env_prefix="LIMOFLOW_INGESTOR_")

    batch_rows: int = Field(default=2000, ge=1)
    batch_bytes: int = Field(default=4 << 20, ge=1)
    max_sample_bytes: int = Field(default=1 << 20, ge=1)
    max_dead_letter_bytes: int = Field(default=15 << 20, ge=1)
    max_unpacked_bytes: int = Field(default=256 << 20, ge=64 << 20)
    scan_seconds: float = Field(default=1.0, ge=0)
