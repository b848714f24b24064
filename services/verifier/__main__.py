"""`python -m services.verifier`."""

import sys
from functools import partial

from limoflow.layer import LayerStage
from limoflow.runs import RunRegistry
from limoflow.service import ServiceContext, serve_stage
from schemas.topics import CANDIDATE, VERIFIED
from services.verifier.app import chat_client, layer


def build(context: ServiceContext) -> LayerStage:
    """Build the stage."""
    made = layer(chat=partial(chat_client, observer=context), on_canary=context.metrics.canary)
    return LayerStage(made, CANDIDATE, VERIFIED, RunRegistry(), context.count)


if __name__ == "__main__":
    sys.exit(serve_stage("verifier", build))
