"""`python -m services.verifier`."""

import sys
from collections.abc import Callable
from functools import cache, partial

from limoflow.inference.breaker import CircuitBreaker
from limoflow.inference.endpoint import chat_client
from limoflow.inference.guarded import GuardedModels
from limoflow.inference.types import ScoringModels
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
    chat = partial(chat_client, observer=context)
    made = layer(chat=chat, models=_triton(context), on_canary=context.metrics.canary)
    return LayerStage(made, CANDIDATE, VERIFIED, RunRegistry(), context.count)


def _triton(context: ServiceContext) -> Callable[[], ScoringModels]:
    """Return what connects to Triton when a run first asks for embeddings; most runs never do."""

    @cache
    def connect() -> ScoringModels:
        from limoflow.inference.triton import TritonModels

        breaker = CircuitBreaker("triton", threshold=8, open_seconds=1.0)
        return GuardedModels(TritonModels(context.settings.triton_url), breaker, "triton", context.metrics)

    return connect


if __name__ == "__main__":
    sys.exit(serve_stage("verifier", build))
