"""`python -m services.verifier`."""

import asyncio
import sys

from limoflow.layer import LayerStage
from limoflow.runs import RunRegistry
from limoflow.service import ServiceContext, serve_stage
from schemas.topics import CANDIDATE, VERIFIED
from services.verifier.app import layer


def build(context: ServiceContext) -> LayerStage:
    """Build the stage; its worker processes end with the service."""
    verifier = layer()
    context.resources.callback(lambda: asyncio.run(verifier.close()))
    return LayerStage(verifier, CANDIDATE, VERIFIED, RunRegistry(), context.count)


if __name__ == "__main__":
    sys.exit(serve_stage("verifier", build))
