"""`python -m services.scorer`."""

import sys
from functools import partial

from limoflow.inference.breaker import CircuitBreaker
from limoflow.inference.endpoint import chat_client
from limoflow.inference.guarded import GuardedModels
from limoflow.inference.triton import TritonModels
from limoflow.layer import LayerStage
from limoflow.runs import RunRegistry
from limoflow.service import ServiceContext, serve_stage
from limoflow.settings import Home
from schemas.topics import SCORED, VERIFIED
from services.scorer.app import layer


def build(context: ServiceContext) -> LayerStage:
    """Build the stage on Triton."""
    breaker = CircuitBreaker("triton", threshold=8, open_seconds=1.0)
    models = GuardedModels(TritonModels(context.settings.triton_url), breaker, "triton", context.metrics)
    rewards = Home(context.settings.home).rewards
    scorer = layer(models, chat=partial(chat_client, observer=context), rewards=rewards)
    return LayerStage(scorer, VERIFIED, SCORED, RunRegistry(), context.count)


if __name__ == "__main__":
    sys.exit(serve_stage("scorer", build))
