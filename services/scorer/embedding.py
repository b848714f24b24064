"""Embeddings: does the answer match its instruction, and where does the pair lie among others."""

from __future__ import annotations

import base64
import math

import numpy as np
from numpy.typing import NDArray

from limoflow.errors import ModelRequestError
from limoflow.inference.types import ScoringModels
from schemas.run import Run
from schemas.sample import Embedding, Sample
from services.scorer.score import About, Cost, Figures

MODEL = "embedder"


class EmbeddingScore:
    """The plug-in: `answer_match` and `embedding`."""

    name = "embedding"
    version = "1"
    about = About("cosine", "more", Cost.EMBEDDING, "own", "percentile within the window (match-fluency)")

    async def compute(self, sample: Sample, run: Run, models: ScoringModels) -> Figures:
        """Embed instruction and response in one request."""
        if not run.spec.score.embedding:
            return Figures()
        try:
            instruction, response = await models.embed_many([sample.instruction, sample.response])
        except ModelRequestError as error:
            return _none(str(error))
        if not (np.isfinite(instruction).all() and np.isfinite(response).all()):
            return _none("the embedding is not finite")
        pair = pair_embedding(instruction, response)
        if pair is None:
            return _none("instruction and response have opposite or zero embeddings")
        stored = Embedding(model=run.models.get(MODEL, MODEL), dimensions=len(pair), data=encoded(pair))
        return Figures(assessment={"answer_match": answer_match(instruction, response), "embedding": stored})


def answer_match(instruction: NDArray[np.float32], response: NDArray[np.float32]) -> float:
    """Return the cosine of two vectors, in [-1, 1]; 0 where one of them is zero.

    The sum is exact before it is rounded, so it does not depend on the order in which a library adds.
    """
    left, right = instruction.astype(np.float64).tolist(), response.astype(np.float64).tolist()
    lengths = math.sqrt(math.fsum(x * x for x in left)) * math.sqrt(math.fsum(x * x for x in right))
    if lengths == 0.0:
        return 0.0
    return max(-1.0, min(1.0, math.fsum(x * y for x, y in zip(left, right, strict=True)) / lengths))


def pair_embedding(instruction: NDArray[np.float32], response: NDArray[np.float32]) -> NDArray[np.float16] | None:
    """Return the normalised mean of two unit vectors as float16, shape (dimensions,); None where it is zero."""
    mean = instruction.astype(np.float64) + response.astype(np.float64)
    length = math.sqrt(math.fsum(x * x for x in mean.tolist()))
    return (mean / length).astype(np.float16) if length > 0.0 else None


def encoded(vector: NDArray[np.float16]) -> str:
    """Return a vector as base64 of little-endian float16."""
    return base64.b64encode(vector.astype("<f2").tobytes()).decode("ascii")


def _none(reason: str) -> Figures:
    return Figures(assessment={"answer_match": None}, reasons={"answer_match": reason, "embedding": reason})
