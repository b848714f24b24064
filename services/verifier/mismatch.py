"""Whether a response answers this instruction: by what both speak of, and by embeddings where a model is named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from limoflow.errors import ModelRequestError
from limoflow.inference.types import ScoringModels
from schemas.run import Run
from schemas.sample import Sample
from services.verifier.checks import CODE_DOMAINS, MATH_DOMAINS, PASS, Cost, Finding, Options, domain_in
from services.verifier.texts.content import han, numbers, stems


@dataclass(frozen=True, slots=True)
class Shared:
    """What instruction and response have in common, and how much there was to compare.

    Attributes
    ----------
    words : int
        Shared stems; `asked` and `answered` are those of each side, the smaller first bound of what can be told.
    signs : int
        Shared Chinese characters, with `signs_asked` and `signs_answered`.
    """

    words: int
    asked: int
    answered: int
    signs: int
    signs_asked: int
    signs_answered: int


def shared(instruction: str, response: str) -> Shared:
    """Compare the content of two texts."""
    asked, answered = stems(instruction), stems(response)
    signs, answer_signs = han(instruction), han(response)
    return Shared(
        len(asked & answered), len(asked), len(answered), len(signs & answer_signs), len(signs), len(answer_signs)
    )


class Mismatch:
    """Runs only where `verify.checks` names it.

    Fails where a text long enough to tell shares no content word with its instruction: 3 and 5 words in mathematics, 5
    and 8 in code, 8 and 15 elsewhere; or, in mathematics, at most one and none of the numbers. Chinese that shares no
    character (8 and 20), and what is too short to tell, is `unknown`. Option `least_cosine`: embeddings of instruction
    and response are compared too, and below the bound it fails; a text that the model cannot read is `unknown`.
    """

    name = "mismatch"
    version = "1"
    cost = Cost.STATIC
    domains: frozenset[str] | None = None

    def __init__(self, models: Callable[[], ScoringModels] | None = None) -> None:
        self._models = models

    def options_of(self, run: Run) -> Options | None:
        """Return the settings; None where the run does not name the check."""
        chosen = run.spec.verify.checks.get(self.name)
        return None if chosen is None else chosen if isinstance(chosen, dict) else {}

    def applies(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's
        """Every sample."""
        return True

    def check(self, sample: Sample, options: Options) -> Finding | Awaitable[Finding]:
        """Compare the words, then the embeddings where `least_cosine` is set.

        Raises
        ------
        DependencyUnavailable
            When the embedder is out: the sample waits.
        """
        found = _by_words(sample)
        bound = options.get("least_cosine")
        return found if bound is None or found.verdict == "fail" else self._by_meaning(sample, float(bound))

    async def _by_meaning(self, sample: Sample, bound: float) -> Finding:
        if self._models is None:
            return Finding("unknown", "no_embedder")
        try:
            one, other = await self._models().embed_many([sample.instruction, sample.response])
        except ModelRequestError as error:
            return Finding("unknown", "not_embedded", evidence=str(error))
        cosine = round(float(one @ other), 4)
        if not cosine >= bound:
            return Finding("fail", "far_from_instruction", cosine, bound)
        return Finding("pass", None, cosine, bound)


def _by_words(sample: Sample) -> Finding:
    found = shared(sample.instruction, sample.response)
    if found.words or found.signs:
        return _numbers(sample, found) or PASS
    mathematics, code = domain_in(sample, MATH_DOMAINS), domain_in(sample, CODE_DOMAINS)
    asked, answered = (3, 5) if mathematics else (5, 8) if code else (8, 15)
    if found.asked >= asked and found.answered >= answered:
        return Finding("fail", "nothing_shared", 0, 1, f"{found.asked} and {found.answered} content words")
    if found.signs_asked >= 8 and found.signs_answered >= 20:
        return Finding("unknown", "nothing_shared", 0, 1, f"{found.signs_asked} and {found.signs_answered} characters")
    return _numbers(sample, found) or Finding("unknown", "too_short", min(found.asked, found.answered), asked)


def _numbers(sample: Sample, found: Shared) -> Finding | None:
    if found.words > 1 or found.signs > 1 or not domain_in(sample, MATH_DOMAINS):
        return None
    asked, answered = numbers(sample.instruction), numbers(sample.response)
    if len(asked) < 2 or len(answered) < 2 or asked & answered:
        return None
    return Finding("fail", "other_numbers", 0, 1, f"{len(asked)} numbers asked about, none of them in the response")
