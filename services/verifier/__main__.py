"""`python -m services.verifier`."""

import sys

from limoflow.layer import LayerStage
from limoflow.runs import RunRegistry
from limoflow.service import ServiceContext, serve_stage
from schemas.topics import CANDIDATE, VERIFIED
from services.verifier.app import layer


def build(context: ServiceContext) -> LayerStage:
    """Build the stage."""
    return LayerStage(layer(), CANDIDATE, VERIFIED, RunRegistry(), context.count)


if __name__ == "__main__":
    sys.exit(serve_stage("verifier", build))
