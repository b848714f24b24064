"""`python -m services.generator`."""

import sys

from limoflow.layer import LayerStage
from limoflow.runs import RunRegistry
from limoflow.service import ServiceContext, serve_stage
from schemas.topics import CANDIDATE, RAW
from services.generator.app import layer


def build(context: ServiceContext) -> LayerStage:
    """Build the stage."""
    return LayerStage(layer(), RAW, CANDIDATE, RunRegistry(), context.count)


if __name__ == "__main__":
    sys.exit(serve_stage("generator", build))
