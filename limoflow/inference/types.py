"""What the services know of models: three questions and their answers. Triton is one way to ask them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

DEFAULT_LAYOUT = "alpaca"
# On the wire: no passes, but the labels after the instruction.
LABELS_LAYOUT = "labels"
LABELS = ("1", "2", "3", "4", "5", "6")


@dataclass(frozen=True, slots=True)
class AnswerLikelihood:
    """Teacher-forced likelihood of one answer, with and without its instruction.

    Attributes
    ----------
    loss_conditioned, loss_direct : float
        Mean negative log-likelihood per answer token, nats; NaN where no answer token was scored.
    tokens_conditioned, tokens_direct : int
        Answer tokens scored in each pass.
    truncated : bool
        Whether the instruction or the answer was cut at the model's context length.
    reason : str
        Why no token was scored; empty where some were.
    """

    loss_conditioned: float
    loss_direct: float
    tokens_conditioned: int
    tokens_direct: int
    truncated: bool
    reason: str = ""


class ScoringModels(Protocol):
    """Models that score. The same text gives the same bits, whatever it is batched with.

    Calls raise `ModelRequestError` when this one text cannot be served, and `DependencyUnavailable`
    (or a subclass) when the server is out; the caller may then try again without limit.
    """

    async def embed(self, text: str) -> NDArray[np.float32]:
        """Return the L2-normalised embedding of `text`, shape (dimensions,)."""
        ...

    async def embed_many(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        """Return the embedding of each text, in their order; fails as a whole if one of them cannot be served."""
        ...

    async def likelihood(
        self, model: str, instruction: str, response: str, layout: str = DEFAULT_LAYOUT
    ) -> AnswerLikelihood:
        """Return the likelihood of `response` given `instruction` under the causal LM named `model`.

        `layout`, `TEMPLATE` or `TEMPLATE:PARITY`, says which tokens are read and scored (`models.layout.Layout`).
        """
        ...

    async def labels(self, model: str, prompt: str) -> tuple[float, ...]:
        """Return ln p of each of `LABELS` as the token after `prompt` under the causal LM named `model`."""
        ...

    async def ready(self, model: str) -> None:
        """Return when one real inference on the embedder and on `model` has succeeded; raise otherwise."""
        ...

    async def close(self) -> None:
        """Release connections or model memory."""
        ...
