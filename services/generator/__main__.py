"""`python -m services.generator`."""

import sys
from functools import partial

from limoflow.inference.endpoint import chat_client
from limoflow.layer import LayerStage
from limoflow.runs import RunRegistry
from limoflow.service import ServiceContext, serve_stage
from schemas.topics import CANDIDATE, RAW
from services.generator.app import layer


def build(context: ServiceContext) -> LayerStage:
    """Build the stage."""
    made = layer(chat=partial(chat_client, observer=context), on_refusal=context.metrics.not_generated)
    return LayerStage(made, RAW, CANDIDATE, RunRegistry(), context.count)


if __name__ == "__main__":
    sys.exit(serve_stage("generator", build))
