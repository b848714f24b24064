"""Maximal marginal relevance."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from services.selector.strategies.apart import Terms, choose_apart
from services.selector.strategies.interface import SQUARE, Choice, Parameters, Pool


class MaximalMarginalRelevance(Parameters):
    """argmax relevance * score(i) - (1 - relevance) * max over chosen j of cosine(i, j) (Carbonell & Goldstein 1998).

    Attributes
    ----------
    relevance : float
        The paper's lambda, 0 to below 1: 0 is only diversity.
    """

    name: ClassVar[str] = "mmr"

    relevance: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.5

    def choose(self, pool: Pool) -> Choice:
        """Choose; the gain is the expression above, that of the first its first term."""
        terms = Terms(
            base=self.relevance * pool.scores, toll=np.zeros(len(pool)), scale=(1.0 - self.relevance) / SQUARE
        )
        return choose_apart(pool, terms)
