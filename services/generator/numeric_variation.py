"""Draw the numbers of a worked arithmetic problem anew and recompute the whole worked answer."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction

from limoflow.worked.arithmetic import ExpressionError, decimals_of, evaluate
from schemas.run import Run
from schemas.sample import Sample
from services.generator.bindings import is_percent
from services.generator.relations import Relation, relations
from services.generator.settings import GeneratorSettings
from services.generator.strategies import Draft, Refusal
from services.generator.worked import NotRecomputable, Problem, Quantity, Token, shown, stated_results, understand

_LONGEST = 20_000
_SHRINK, _GROW = Fraction(3, 5), Fraction(3, 2)
_CAPS = {
    "hours": 24,
    "hour": 24,
    "minutes": 60,
    "minute": 60,
    "days a week": 7,
    "days per week": 7,
    "days each week": 7,
    "days every week": 7,
    "days": 31,
    "weeks": 52,
    "months": 12,
    "%": 99,
    "小时": 24,
    "分钟": 60,
}


class NumericVariation:
    """Children of worked problems with other numbers, right by construction.

    The problem is read as a dataflow (`services.generator.worked`); new numbers of similar size and roundness are drawn
    from a generator seeded by the child's id until every step comes out as well-behaved as in the original: positive,
    whole where it was whole, exact, and **in the same order of size** as all other numbers of the problem, so that what
    the text says of more, less, enough or left over stays true. What cannot be recomputed with certainty is refused.
    The child is checked by reading it anew: each of its steps must hold, and the original numbers put back must give
    the original text. Of instruction and response of more than 20,000 characters together none is made: `too_long`.
    """

    version = "1"

    def __init__(self, settings: GeneratorSettings | None = None) -> None:
        self._draws = (settings or GeneratorSettings()).draws

    def make(self, parent: Sample, child_id: str, run: Run) -> Draft | Refusal:  # noqa: ARG002 - the protocol's
        """Return a child, or why there is none."""
        if len(parent.instruction) + len(parent.response) > _LONGEST:
            return Refusal("too_long")
        try:
            problem = understand(parent.instruction, parent.response)
            _check_reference(parent, problem)
            return self._child(parent, problem, random.Random(child_id))  # noqa: S311 - draws, not secrets
        except NotRecomputable as reason:
            return Refusal(str(reason))
        except ExpressionError:
            return Refusal("unreadable_step")

    def _child(self, parent: Sample, problem: Problem, source: random.Random) -> Draft:
        original = [token.value for token in problem.variables]
        results = computed(problem, original)
        if _rewritten(problem, original, results) != (parent.instruction, parent.response):
            raise NotRecomputable("not_reproduced")
        kept = _stated_relations(problem, original)
        for _ in range(self._draws):
            drawn = [_redrawn(token, problem.question, source) for token in problem.variables]
            if drawn == original:
                continue
            try:
                values = computed(problem, drawn)
                if not all(relation.holds([*drawn, *problem.fixed, Fraction(100)]) for relation in kept):
                    continue
                if not _behaves(problem, original, results, drawn, values) or values[-1] == results[-1]:
                    continue
                instruction, response = _rewritten(problem, drawn, values)
                _confirm(response, values)
            except (NotRecomputable, ExpressionError):
                continue
            return Draft(instruction, response, shown(values[-1], problem.final.text))
        raise NotRecomputable("no_draw_fits")


def _check_reference(parent: Sample, problem: Problem) -> None:
    """Refuse a parent whose known answer is another: its child would carry the fault on as if it were right."""
    reference = parent.metadata.reference
    if reference is None or reference.answer is None:
        return
    try:
        known = evaluate(reference.answer).exact
    except ExpressionError:
        raise NotRecomputable("unreadable_reference") from None
    if known != problem.final.value:
        raise NotRecomputable("reference_disagrees")


def _stated_relations(problem: Problem, original: Sequence[Fraction]) -> list[Relation]:
    """Return the relations to keep; 100 counts as a whole only where the question has percentages."""
    numbers = [*original, *problem.fixed, Fraction(100)]
    found = relations(numbers)
    if found is None:
        raise NotRecomputable("too_many_numbers")
    percentages = any(is_percent(problem.question, token.start, token.end) for token, _ in problem.question_slots)
    return [one for one in found if percentages or len(numbers) - 1 not in (*one.parts, one.whole)]


def computed(problem: Problem, drawn: Sequence[Fraction]) -> list[Fraction]:
    """Return the result of every step for numbers put in place of the variables."""
    results: list[Fraction] = []
    for operation in problem.operations:
        text = operation.pieces[0]
        for (token, quantity), piece in zip(operation.operands, operation.pieces[1:], strict=True):
            text += _written(_value(token, quantity, drawn, results), token.text) + piece
        results.append(evaluate(text).exact)
    return results


def _written(value: Fraction, like: str) -> str:
    return shown(value, like).replace(",", "")


def _value(token: Token, quantity: Quantity, drawn: Sequence[Fraction], results: Sequence[Fraction]) -> Fraction:
    if quantity.kind == "question":
        return drawn[quantity.index]
    if quantity.kind == "percent":
        return drawn[quantity.index] / 100
    return results[quantity.index] if quantity.kind == "step" else token.value


def _redrawn(token: Token, question: str, source: random.Random) -> Fraction:
    """Draw a number of similar size, of the same decimals and no less round."""
    unit = _roundness(token)
    low = max(1, math.ceil(token.value * _SHRINK / unit))
    high = max(low, math.floor(token.value * _GROW / unit))
    after = question[token.end : token.end + 20].strip().casefold()
    caps = [cap for word, cap in _CAPS.items() if after.startswith(word)]
    if is_percent(question, token.start, token.end):
        caps.append(99)
    for cap in caps:
        if token.value <= cap:
            high = min(high, max(low, math.floor(cap / unit)))
    drawn = source.randint(low, high) * unit
    return drawn if drawn > 1 else token.value


def _roundness(token: Token) -> Fraction:
    unit = Fraction(1, 10 ** decimals_of(token.text))
    for factor in (100, 50, 10, 5):
        coarse = unit * factor
        if (token.value / coarse).denominator == 1 and token.value >= coarse * 4:
            return coarse
    return unit


def _behaves(
    problem: Problem,
    original: Sequence[Fraction],
    results: Sequence[Fraction],
    drawn: Sequence[Fraction],
    values: Sequence[Fraction],
) -> bool:
    for before, after in zip(results, values, strict=True):
        if after <= 0 or (before.denominator == 1 and after.denominator != 1):
            return False
        if (after < 1) != (before < 1):
            return False
    left = [*original, *results, *problem.fixed]
    right = [*drawn, *values, *problem.fixed]
    order = sorted(range(len(left)), key=left.__getitem__)
    return all(
        right[one] < right[other] if left[one] < left[other] else right[one] == right[other]
        for one, other in itertools.pairwise(order)
    )


def _rewritten(problem: Problem, drawn: Sequence[Fraction], values: Sequence[Fraction]) -> tuple[str, str]:
    texts = []
    for text, slots in ((problem.question, problem.question_slots), (problem.answer, problem.answer_slots)):
        pieces, at = [], 0
        for token, quantity in slots:
            pieces += [text[at : token.start], shown(_value(token, quantity, drawn, values), token.text)]
            at = token.end
        texts.append("".join([*pieces, text[at:]]))
    return texts[0], texts[1]


def _confirm(response: str, values: Sequence[Fraction]) -> None:
    """Read the child as if it were an original: the same steps must come out, to the same final answer."""
    if stated_results(response) != list(values):
        raise NotRecomputable("not_reproduced")
