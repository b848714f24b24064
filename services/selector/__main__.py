"""`python -m services.selector`."""

import sys
from collections.abc import Sequence

from limoflow.service import ServiceContext, serve_tasks
from limoflow.stream.types import Task
from services.selector.app import tasks


def build(context: ServiceContext) -> Sequence[Task]:
    """Build the two levels."""
    return tasks(context.transport.offsets)


if __name__ == "__main__":
    sys.exit(serve_tasks("selector", build))
