"""`python -m services.trainer`."""

import sys
from collections.abc import Sequence

from limoflow.service import ServiceContext, serve_tasks
from limoflow.settings import from_environment
from limoflow.stream.types import Task
from models.catalog import ModelCatalog
from schemas.release import Release
from services.trainer.app import TrainerSettings, task
from services.trainer.job import Step


def build(context: ServiceContext) -> Sequence[Task]:
    """Build the task."""

    def stepped(_: Release, step: Step) -> None:
        context.metrics.trained(step.loss, step.tokens)

    catalog = ModelCatalog(context.settings.home)
    return [task(from_environment(TrainerSettings), context.transport.reader, on_step=stepped, base_path=catalog.path)]


if __name__ == "__main__":
    sys.exit(serve_tasks("trainer", build))
