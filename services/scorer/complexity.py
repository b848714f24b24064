"""How much an instruction asks for, by rules. [own] A model's judgement (DEITA) may replace it."""

from __future__ import annotations

from limoflow.inference.types import ScoringModels
from schemas.run import Run
from schemas.sample import Sample
from services.scorer.deita import asks_a_model, complexity_prompt, label_figures
from services.scorer.endpoints import Endpoints
from services.scorer.score import About, Cost, Figures
from services.scorer.wording import any_of, mentions, numbers, saturating, sentences, tokens

_CONSTRAINT = any_of(
    (
        *("must", "at least", "at most", "each", "every", "if", "only", "without", "exactly", "unless", "more than"),
        *("less than", "fewer than", "half", "twice", "times as", "percent", "remaining", "respectively", "using"),
    ),
    (
        "如果",
        "必须",
        "至少",
        "至多",
        "每",
        "只",
        "不超过",
        "恰好",
        "除非",
        "比",
        "一半",
        "倍",
        "剩",
        "其中",
        "分别",
        "使用",
    ),
)


def complexity(instruction: str) -> float:
    """Return 0.35 length + 0.25 constraints + 0.2 quantities + 0.2 sentences, in [0, 1).

    Each part is 1 - exp(-amount / scale): 60 words (or characters of Chinese), 5 words of constraint, 5 numbers,
    4 sentences.
    """
    return (
        0.35 * saturating(len(tokens(instruction)), 60)
        + 0.25 * saturating(mentions(_CONSTRAINT, instruction), 5)
        + 0.20 * saturating(numbers(instruction), 5)
        + 0.20 * saturating(sentences(instruction), 4)
    )


class Complexity:
    """The plug-in."""

    name = "complexity"
    version = "2"
    about = About(
        "label 1 to 6, or share of saturation",
        "more",
        Cost.MODEL,
        "Liu et al. 2024, arXiv 2312.15685; rules own",
        "label / 6",
    )

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints

    async def compute(self, sample: Sample, run: Run, models: ScoringModels) -> Figures:
        """Return `instruction_complexity`: by the model that the run names, else by rules."""
        if run.spec.score.deita is None or not asks_a_model(run, "deita_complexity"):
            return Figures(evaluations={"instruction_complexity": complexity(sample.instruction)})
        prompt = complexity_prompt(sample.instruction)
        return await label_figures(
            "instruction_complexity",
            "deita_complexity",
            prompt,
            run,
            models,
            self._endpoints,
        )
