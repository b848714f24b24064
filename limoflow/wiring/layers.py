"""The layers with concrete settings and models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limoflow.inference.types import ScoringModels
from limoflow.layer import Layer
from limoflow.settings import Home


def in_process_models(home: Home) -> ScoringModels:
    """Return the scoring models inside this process."""
    from models.catalog import ModelCatalog
    from models.embedding import embedder_path
    from models.in_process import InProcessModels
    from models.precision import embedder_dtype

    return InProcessModels(ModelCatalog(home.root).path, embedder_path(), embedder_dtype())


@asynccontextmanager
async def open_layer(name: str, home: Home, models: ScoringModels | None = None) -> AsyncIterator[Layer]:
    """Open the layer `generate`, `verify` or `score`, with these models or its own in this process; close it again."""
    layer: Layer
    opened = [models] if models is not None else []

    def scoring() -> ScoringModels:
        # Loading torch takes seconds, and most runs of the verifier never ask.
        if not opened:
            opened.append(in_process_models(home))
        return opened[0]

    if name == "generate":
        from services.generator.app import layer as generator

        layer = generator()
    elif name == "verify":
        from services.verifier.app import layer as verifier

        layer = verifier(models=scoring)
    else:
        from services.scorer.app import layer as scorer

        layer = scorer(scoring(), rewards=home.rewards)
    try:
        yield layer
    finally:
        await layer.close()
        for model in opened:
            await model.close()
