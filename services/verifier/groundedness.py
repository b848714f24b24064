"""Whether an answer stands in the evidence that its sample gives, hop by hop."""

from __future__ import annotations

import re

from schemas.sample import Sample
from services.verifier.checks import PASS, Cost, Finding, Options
from services.verifier.texts.grams import tokens
from services.verifier.texts.grounds import Claim, Passage, anchors, chain, claims

SHORT = 8
MOST_PASSAGES = 64
MOST_CHARACTERS = 100_000
_CONTEXT = re.compile(
    r"^[ \t]*(?:context|passage|paragraph|article|document|text|background|材料|背景|原文|文章|上下文)[ \t]*[:：]",
    re.IGNORECASE | re.MULTILINE,
)
_QUESTION = re.compile(r"^[ \t]*(?:question|q|instruction|问题|提问)[ \t]*[:：]", re.IGNORECASE | re.MULTILINE)
_YES_NO = frozenset({"yes", "no", "true", "false", "是", "否", "对", "错", "不是"})


class Groundedness:
    """Runs on samples with evidence, which is `metadata.reference.evidence`, else what follows a line `Context:`.

    An answer of up to 8 words must stand in a passage that a chain of passages joins with the question. Of a longer
    answer every name and number must stand in the passages or the question, or come from a written calculation with
    such numbers (a calculation with others is `unknown`), and the share of content words found there must be `least`
    (0.5) in every sentence: less is `unknown`, and below 0.15 of four and more it fails. Each thing that the question
    names must stand in some passage. Yes and no are `unknown`. Options: `context: instruction`, where the instruction
    itself is the evidence; `required: true`, by which a sample without evidence is `unknown`.
    """

    name = "groundedness"
    version = "1"
    cost = Cost.STATIC
    domains: frozenset[str] | None = None

    def applies(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's
        """Every sample: whether there is evidence depends on the settings too."""
        return True

    def check(self, sample: Sample, options: Options) -> Finding | None:
        """Return the first hop or claim that nothing supports."""
        question, passages = _evidence(sample, options)
        if not passages:
            return Finding("unknown", "no_evidence") if options.get("required") else None
        if len(passages) > MOST_PASSAGES:
            return Finding("unknown", "too_many_passages", len(passages), MOST_PASSAGES)
        length = len(question) + sum(len(passage.text) for passage in passages)
        if length > MOST_CHARACTERS:
            return Finding("unknown", "too_long", length, MOST_CHARACTERS)
        return (
            _lost_hop(question, passages)
            or _phrase(question, sample.response, passages)
            or _sentences(claims(sample.response, passages, Passage(question)), float(options.get("least", 0.5)))
        )


def _evidence(sample: Sample, options: Options) -> tuple[str, list[Passage]]:
    reference = sample.metadata.reference
    given = [text for text in (reference.evidence or () if reference else ()) if text.strip()]
    if given:
        return sample.instruction, [Passage(text) for text in given]
    if options.get("context") == "instruction":
        return sample.instruction, [Passage(sample.instruction)]
    before, *after = _CONTEXT.split(sample.instruction, maxsplit=1)
    if not after:
        return sample.instruction, []
    passage, *asked = _QUESTION.split(after[0], maxsplit=1)
    return f"{before}\n{' '.join(asked)}", [Passage(passage)] if passage.strip() else []


def _lost_hop(question: str, passages: list[Passage]) -> Finding | None:
    lost = [name for name in anchors(question) if not any(passage.names_any_part(name) for passage in passages)]
    return Finding("fail", "unsupported_hop", len(lost), 0, ", ".join(lost)) if lost else None


def _phrase(question: str, answer: str, passages: list[Passage]) -> Finding | None:
    words = tokens(answer)
    if len(words) > SHORT:
        return None
    if not words or (words[0] in _YES_NO and len(words) <= 3):
        return Finding("unknown", "needs_judgement", evidence=answer)
    if not any(passage.holds(answer) for passage in passages):
        return Finding("fail", "not_in_evidence", 0, 1, answer)
    way = chain(question, answer, passages)
    if way is None:
        return Finding("unknown", "no_chain", evidence=answer)
    return Finding("pass", None, len(way), 1, "passages " + " > ".join(str(at + 1) for at in way))


def _sentences(found: list[Claim], least: float) -> Finding:
    for claim in found:
        if claim.strange:
            return Finding(
                "fail", "unsupported_claim", len(claim.strange), 0, f"{', '.join(claim.strange)}: {claim.text}"
            )
        if claim.covered < 0.15 and claim.content >= 4:
            return Finding("fail", "unsupported_claim", round(claim.covered, 3), 0.15, claim.text)
    weak = min(found, key=lambda claim: claim.covered, default=None)
    if weak is None:
        return Finding("unknown", "no_claim")
    unsure = next((claim for claim in found if claim.unsure), None)
    if unsure is not None:
        return Finding("unknown", "number_not_in_evidence", evidence=f"{', '.join(unsure.unsure)}: {unsure.text}")
    if weak.covered < least:
        return Finding("unknown", "weakly_supported", round(weak.covered, 3), least, weak.text)
    return PASS
