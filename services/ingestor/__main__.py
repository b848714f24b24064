"""`python -m services.ingestor`."""

import sys
from collections.abc import Sequence

from limoflow.service import ServiceContext, serve_tasks
from limoflow.stream.types import Task
from services.ingestor.app import task
from services.ingestor.settings import IngestorSettings


def build(context: ServiceContext) -> Sequence[Task]:
    """Build the task."""
    return [task(IngestorSettings(), context.transport.reader)]


if __name__ == "__main__":
    sys.exit(serve_tasks("ingestor", build))
