"""How hard a sample is, where its source does not say. [own]."""

from __future__ import annotations

from schemas.sample import Difficulty
from services.scorer.complexity import complexity
from services.scorer.depth import depth

EASY_BELOW = 0.35
HARD_FROM = 0.43


def difficulty_of(instruction: str, response: str) -> Difficulty:
    """Return easy, medium or hard by the mean of the complexity of the instruction and the depth of the response.

    The bounds are fixed, so a sample's difficulty does not depend on its company; they cut the GSM8K train file into
    about a third each.
    """
    level = (complexity(instruction) + depth(response)) / 2
    if level < EASY_BELOW:
        return "easy"
    return "hard" if level >= HARD_FROM else "medium"
