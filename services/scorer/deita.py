"""DEITA's scorers (Liu et al. 2024, "What Makes Good Data for Alignment?"): expectation over the labels 1 to 6.

A scorer is a causal language model that was trained to write a label after the prompt. Its logits of the six labels
are made probabilities among themselves, and the score is their mean. A chat endpoint with log-probabilities is read
the same way. One turn is scored, the sample's; the published code adds the products of all turns up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from limoflow.errors import ChatRequestError, ModelRequestError
from limoflow.inference.chat_types import ChatMessage
from limoflow.inference.types import LABELS, ScoringModels
from schemas.run import Run
from services.scorer.endpoints import Endpoints
from services.scorer.score import Figures

_CHAT_RULE = "\nAnswer with one digit from 1 (lowest) to 6 (highest), and with nothing else."


def complexity_prompt(instruction: str) -> str:
    """Return the prompt of the published complexity scorer."""
    return (
        "You are a helpful assistant. Please identify the complexity score of the following user query. \n"
        f"##Query: {instruction}  \n##Complexity: "
    )


def quality_prompt(instruction: str, response: str) -> str:
    """Return the prompt of the published quality scorer."""
    return (
        "You are a helpful assistant. Please identify the quality score of the Response corresponding to the "
        f"Question. \n #Question#:\n{instruction}\n#Response#:\n{response} \n##Quality: "
    )


def expectation(logprobs: Sequence[float]) -> float | None:
    """Return the mean label, in [1, 6], under softmax of the six log-probabilities; None where one is no number.

    The published code gives 3.0 there; a missing label is no score here, and the reason is kept.
    """
    if len(logprobs) != len(LABELS) or not all(math.isfinite(value) for value in logprobs):
        return None
    highest = max(logprobs)
    weights = [math.exp(value - highest) for value in logprobs]
    return math.fsum(k * weight for k, weight in enumerate(weights, start=1)) / math.fsum(weights)


def asks_a_model(run: Run, role: str) -> bool:
    """Whether the run names a model or an endpoint for this score."""
    wanted = run.spec.score.deita
    return role in run.models or (wanted is not None and wanted.chat)


async def label_figures(
    name: str, role: str, prompt: str, run: Run, models: ScoringModels, endpoints: Endpoints
) -> Figures:
    """Return the mean label as the raw figure `role`, and divided by 6 as the score `name`.

    Division by 6 keeps the order of DEITA's product of both scores.
    """
    try:
        if role in run.models:
            label = expectation(await models.labels(run.models[role], prompt))
        else:
            label = expectation(await _chat_logprobs(prompt, run, endpoints))
    except (ModelRequestError, ChatRequestError) as error:
        return Figures({name: None}, reasons={name: str(error)})
    if label is None:
        return Figures({name: None}, reasons={name: "not every label from 1 to 6 has a probability"})
    return Figures({name: label / len(LABELS)}, assessment={role: label})


async def _chat_logprobs(prompt: str, run: Run, endpoints: Endpoints) -> list[float]:
    chat = endpoints.of(run, logprobs=True, temperature=0.0)
    answer = await chat.complete([ChatMessage("user", prompt + _CHAT_RULE)])
    found = {token.strip(): value for token, value in sorted(answer.first_logprobs.items(), key=lambda one: one[1])}
    return [found.get(label, math.nan) for label in LABELS]
