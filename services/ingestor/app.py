"""Wiring of the ingestor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from limoflow.settings import from_environment
from limoflow.stream.types import LogReader
from services.ingestor.reading import Batch
from services.ingestor.settings import IngestorSettings
from services.ingestor.task import Ingestor
from services.ingestor.tenants import read_tenants


def task(
    settings: IngestorSettings | None,
    reader: LogReader,
    on_batch: Callable[[Batch], None] | None = None,
    tenants: Path | None = None,
    on_retry: Callable[[str], None] | None = None,
) -> Ingestor:
    """Return the ingestor; `reader` is the transport's, with which it finds its own progress.

    Raises
    ------
    UsageError
        When the file of tenants does not hold.
    """
    chosen = settings or from_environment(IngestorSettings)
    return Ingestor(chosen, reader, on_batch=on_batch, tenants=read_tenants(tenants), on_retry=on_retry)
