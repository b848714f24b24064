"""How complete and well-formed a response is, by rules. [own]."""

from __future__ import annotations

import re
from collections.abc import Sequence

from limoflow.inference.types import ScoringModels
from schemas.run import Run
from schemas.sample import Sample
from services.scorer.deita import asks_a_model, label_figures, quality_prompt
from services.scorer.endpoints import Endpoints
from services.scorer.score import About, Cost, Figures
from services.scorer.wording import any_of, mentions, saturating, tokens

_ENDS_WELL = re.compile(r"(?:[.!?。！？)\]}\"'”’》`;]|####\s*\S.*|\d[%\d]*|\\boxed\{.*\}\$*)\s*$")
_BROKEN_OFF = re.compile(
    r"(?:[,，、:：+\-*/=(（<]|\b(?:the|a|an|and|or|of|to|with|is|are|was|that|因为|所以|的|和))\s*$", re.IGNORECASE
)
_REFUSAL = any_of(
    ("as an ai", "as a language model", "i cannot", "i can't", "i'm sorry", "i am unable", "no response"),
    ("抱歉", "对不起", "作为人工智能", "作为一个语言模型", "我无法", "我不能"),
)
_GRAM = 4


def quality(response: str) -> float:
    """Return 0.3 substance + 0.2 variety + 0.25 ending + 0.15 no repetition + 0.1 no refusal, in [0, 1).

    substance: 1 - exp(-words / 30); variety: distinct words / words, taken as full from 0.5; ending: 1 where the text
    ends like one (a full stop, a bracket, a number), 0 where it breaks off within a sentence, 0.5 otherwise;
    repetition: the share of 4-grams that occurred before.
    """
    words = tokens(response)
    if not words:
        return 0.0
    variety = min(1.0, 2.0 * len(set(words)) / len(words))
    return (
        0.30 * saturating(len(words), 30)
        + 0.20 * variety
        + 0.25 * _ending(response)
        + 0.15 * (1.0 - repetition(words))
        + 0.10 * (0.0 if mentions(_REFUSAL, response) else 1.0)
    )


def repetition(words: Sequence[str]) -> float:
    """Return the share of 4-grams that repeat an earlier one, in [0, 1)."""
    grams = [tuple(words[i : i + _GRAM]) for i in range(len(words) - _GRAM + 1)]
    return 1.0 - len(set(grams)) / len(grams) if grams else 0.0


def _ending(response: str) -> float:
    tail = response.rstrip()[-80:]
    if _BROKEN_OFF.search(tail):
        return 0.0
    return 1.0 if _ENDS_WELL.search(tail) else 0.5


class Quality:
    """The plug-in."""

    name = "quality"
    version = "2"
    about = About(
        "label 1 to 6, or share of rules",
        "more",
        Cost.MODEL,
        "Liu et al. 2024, arXiv 2312.15685; rules own",
        "label / 6",
    )

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def compute(self, sample: Sample, run: Run, models: ScoringModels) -> Figures:
        """Return `response_quality`: by the model that the run names, else by rules."""
        if run.spec.score.deita is None or not asks_a_model(run, "deita_quality"):
            return Figures(evaluations={"response_quality": quality(sample.response)})
        prompt = quality_prompt(sample.instruction, sample.response)
        return await label_figures(
            "response_quality",
            "deita_quality",
            prompt,
            run,
            models,
            self._endpoints,
        )
