"""`python -m services.exporter`."""

import sys
from collections.abc import Sequence

from limoflow.service import ServiceContext, serve_tasks
from limoflow.settings import from_environment
from limoflow.stream.types import Task
from schemas.export import Export
from services.exporter.app import ExporterSettings, task


def build(context: ServiceContext) -> Sequence[Task]:
    """Build the task."""

    def exported(export: Export, seconds: float) -> None:
        context.metrics.exported(export.rows, seconds)

    return [task(from_environment(ExporterSettings), context.transport.reader, on_export=exported)]


if __name__ == "__main__":
    sys.exit(serve_tasks("exporter", build))
