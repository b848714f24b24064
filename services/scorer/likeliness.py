"""Fluency: how probable an answer is to the language model of the IFD score, in the pass that IFD needs anyway."""

from __future__ import annotations

import math

from limoflow.errors import ModelRequestError
from limoflow.inference.types import ScoringModels
from schemas.run import Run
from schemas.sample import Sample
from services.scorer.ifd import ROLE, layout_of
from services.scorer.score import About, Cost, Figures


class Fluency:
    """The plug-in: `fluency` and the raw `perplexity`."""

    name = "fluency"
    version = "1"
    about = About(
        "perplexity of the answer alone", "less", Cost.MODEL, "own", "1 / perplexity: the mean probability of a token"
    )

    async def compute(self, sample: Sample, run: Run, models: ScoringModels) -> Figures:
        """Return the geometric mean of the probabilities of the answer's tokens."""
        wanted = run.spec.score.ifd
        if wanted is None:
            return Figures()
        try:
            model = run.models.get(ROLE, wanted.model)
            found = await models.likelihood(model, sample.instruction, sample.response, layout_of(wanted))
        except ModelRequestError as error:
            return Figures({"fluency": None}, reasons={"fluency": str(error)})
        if not math.isfinite(found.loss_direct) or found.loss_direct > 700:
            return Figures({"fluency": None}, reasons={"fluency": found.reason or "the loss is not finite"})
        raw = {"perplexity": math.exp(found.loss_direct)}
        return Figures({"fluency": math.exp(-found.loss_direct)}, assessment=raw)
