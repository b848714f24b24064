"""Instruction-following difficulty (Li et al. 2024, "From Quantity to Quality", Cherry LLM).

loss_ratio: mean loss of the answer given its instruction / mean loss of the answer alone (Cherry).
perplexity_ratio: exp of the difference of those losses (Superfiltering, Li et al. 2024).
Low: the instruction says what to answer. Near 1: it hardly helps. Above 1: it misleads, as with a wrong answer.
"""

from __future__ import annotations

import math

from limoflow.errors import ModelRequestError
from limoflow.inference.types import AnswerLikelihood, ScoringModels
from schemas.run import IfdScore, Run
from schemas.sample import InstructionFollowingDifficulty, Sample
from services.scorer.score import About, Cost, Figures

ROLE = "ifd"


class Ifd:
    """The plug-in: `ifd` and `ifd_score`."""

    name = "ifd"
    version = "2"
    about = About(
        "ratio of losses or of perplexities",
        "more",
        Cost.MODEL,
        "Li et al. 2024, arXiv 2308.12032 and 2402.00530",
        "min(1, ratio)",
    )

    async def compute(self, sample: Sample, run: Run, models: ScoringModels) -> Figures:
        """Ask for both losses of the answer in one request."""
        wanted = run.spec.score.ifd
        if wanted is None:
            return Figures()
        try:
            model = run.models.get(ROLE, wanted.model)
            found = await models.likelihood(model, sample.instruction, sample.response, layout_of(wanted))
        except ModelRequestError as error:
            return _figures(InstructionFollowingDifficulty(reason=str(error)))
        return _figures(difficulty(found, wanted.definition))


def difficulty(found: AnswerLikelihood, definition: str) -> InstructionFollowingDifficulty:
    """Return the raw figures; the ratio is None, with the reason, where it is no number."""
    ratio, reason = _ratio(found, definition)
    return InstructionFollowingDifficulty(
        ratio=ratio,
        loss_conditioned=_finite(found.loss_conditioned),
        loss_direct=_finite(found.loss_direct),
        tokens_conditioned=found.tokens_conditioned,
        tokens_direct=found.tokens_direct,
        truncated=found.truncated,
        reason=reason,
    )


def layout_of(wanted: IfdScore) -> str:
    """Return template and parity as the models understand them."""
    return wanted.template if wanted.parity == "none" else f"{wanted.template}:{wanted.parity}"


def unit_score(ratio: float | None) -> float | None:
    """Return the ratio cut at 1: the fixed, monotone mapping to [0, 1] for both definitions."""
    return None if ratio is None else min(1.0, max(0.0, ratio))


def _ratio(found: AnswerLikelihood, definition: str) -> tuple[float | None, str | None]:
    conditioned, direct = found.loss_conditioned, found.loss_direct
    if found.tokens_conditioned == 0 or found.tokens_direct == 0:
        return None, found.reason or "no answer token was scored"
    if not (math.isfinite(conditioned) and math.isfinite(direct)):
        return None, "a loss is not finite"
    if definition == "perplexity_ratio":
        difference = conditioned - direct
        return (math.exp(difference), None) if difference < 700 else (None, "the ratio of perplexities overflows")
    return (conditioned / direct, None) if direct > 0.0 else (None, "the loss of the answer alone is 0")


def _finite(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


def _figures(ifd: InstructionFollowingDifficulty) -> Figures:
    reasons = {"ifd_score": ifd.reason} if ifd.reason is not None else {}
    return Figures(assessment={"ifd": ifd, "ifd_score": unit_score(ifd.ratio)}, reasons=reasons)
