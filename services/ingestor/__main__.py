"""`python -m services.ingestor`."""

import sys
from collections.abc import Sequence
from functools import partial

from limoflow.service import ServiceContext, serve_tasks
from limoflow.settings import from_environment
from limoflow.stream.types import Task
from services.ingestor.app import task
from services.ingestor.reading import Batch
from services.ingestor.settings import IngestorSettings


def build(context: ServiceContext) -> Sequence[Task]:
    """Build the task."""

    def written(batch: Batch) -> None:
        for file_format, rows in batch.rows.items():
            context.metrics.ingested(file_format, rows, batch.bytes[file_format])
        for file_format in batch.ended.elements():
            context.metrics.file_ingested(file_format)

    chosen, tenants = from_environment(IngestorSettings), context.settings.tenants
    retried = partial(context.metrics.retried, "ingestor")
    return [task(chosen, context.transport.reader, on_batch=written, tenants=tenants, on_retry=retried)]


if __name__ == "__main__":
    sys.exit(serve_tasks("ingestor", build))
