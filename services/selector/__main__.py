"""`python -m services.selector`."""

import sys
import time
from collections.abc import Sequence

from limoflow.service import ServiceContext, serve_tasks
from limoflow.stream.types import Emit, Task
from schemas.release import Release
from schemas.topics import FINALIZED, RELEASES
from services.selector.app import tasks


def build(context: ServiceContext) -> Sequence[Task]:
    """Build the two levels."""

    def closing(emits: Sequence[Emit]) -> None:
        for emit in emits:
            if emit.topic == FINALIZED:
                context.metrics.finalized()
            elif emit.topic == RELEASES and emit.value is not None:
                context.metrics.released(Release.model_validate_json(emit.value))

    pools, merge = tasks(context.transport.offsets, on_closing=closing)

    def window_age() -> float:
        oldest = merge.oldest_end()
        return 0.0 if oldest is None else max(0.0, time.time() - oldest)

    context.metrics.window_age(window_age)
    return pools, merge


if __name__ == "__main__":
    sys.exit(serve_tasks("selector", build))
