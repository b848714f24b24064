"""`python -m services.verifier`."""

import sys
from functools import partial

from limoflow.inference.endpoint import chat_client
from limoflow.layer import LayerStage
from limoflow.runs import RunRegistry
from limoflow.service import ServiceContext, serve_stage
from schemas.topics import CANDIDATE, VERIFIED
from services.verifier.app import layer
from services.verifier.sandbox import examine


def build(context: ServiceContext) -> LayerStage:
    """Build the stage; where programs cannot be run safely, /readyz and a metric say so, and verdicts are unknown."""
    name, reason = examine()
    context.metrics.sandbox(name, works=reason is None)
    if reason is not None:
        context.remarks.append(f"code is not run: {reason}")
    made = layer(chat=partial(chat_client, observer=context), on_canary=context.metrics.canary)
    return LayerStage(made, CANDIDATE, VERIFIED, RunRegistry(), context.count)


if __name__ == "__main__":
    sys.exit(serve_stage("verifier", build))
