"""Wiring of the ingestor."""

from __future__ import annotations

from limoflow.stream.types import LogReader
from services.ingestor.settings import IngestorSettings
from services.ingestor.task import Ingestor


def task(settings: IngestorSettings | None, reader: LogReader) -> Ingestor:
    """Return the ingestor; `reader` is the transport's, with which it finds its own progress."""
    return Ingestor(settings or IngestorSettings(), reader)
