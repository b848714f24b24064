"""Wiring of the ingestor."""

from __future__ import annotations

from collections.abc import Callable

from limoflow.settings import from_environment
from limoflow.stream.types import LogReader
from services.ingestor.reading import Batch
from services.ingestor.settings import IngestorSettings
from services.ingestor.task import Ingestor


def task(
    settings: IngestorSettings | None, reader: LogReader, on_batch: Callable[[Batch], None] | None = None
) -> Ingestor:
    """Return the ingestor; `reader` is the transport's, with which it finds its own progress."""
    return Ingestor(settings or from_environment(IngestorSettings), reader, on_batch=on_batch)
