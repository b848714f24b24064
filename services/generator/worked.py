"""The dataflow of a worked arithmetic problem: numbers of the question, steps, the final answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from limoflow.worked.arithmetic import NUMBER, ExpressionError, canonical, decimals_of, evaluate, to_fraction
from limoflow.worked.steps import FINAL, Step, notes, plain_steps
from services.generator.bindings import is_bound, is_hundredth, is_ordinal_or_time, is_percent, spelled_numbers
from services.generator.wording import implied_numbers

_TOKEN = re.compile(rf"(?<![\d.,])(?<!\d[.,]){NUMBER}(?![\d]|[.,]\d)")
_FINAL_WORDS = re.compile(
    rf"(?:\banswer is|答案(?:是|为|：|:))\s*+[:：]?\s*+[$€£¥￥]?\s*+({NUMBER})\s*+[^\d\n]{{0,30}}$", re.IGNORECASE
)
_BLANK = re.compile(r"<<[^<>]*>>")
_EQUALS = re.compile(rf"=(?:\s*+[$€£¥￥]?\s*+({NUMBER})(\s*[-+*/x×÷−–]\s*[\d$(.])?)?")
_SMALL = 12
_MAX_STEPS = 24


class NotRecomputable(ValueError):
    """The problem cannot be recomputed with certainty; the message is a short stable word."""


@dataclass(frozen=True, slots=True)
class Token:
    """A written number and where it stands."""

    text: str
    value: Fraction
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a number in a text is: `("question", i)`, `("percent", i)` (a hundredth of it), `("step", i)`, or fixed."""

    kind: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: its expression with the numbers cut out, and what those numbers are."""

    pieces: tuple[str, ...]
    operands: tuple[tuple[Token, Quantity], ...]
    value: Fraction


@dataclass(frozen=True)
class Problem:
    """A worked problem whose every number is accounted for.

    Attributes
    ----------
    variables : tuple of Token
        Numbers of the question that may be drawn anew.
    operations : tuple of Operation
        The steps, in order.
    question_slots, answer_slots : tuple of (Token, Quantity)
        Numbers to be written anew, in order.
    fixed : tuple of Fraction
        Numbers of the question that stay.
    final : Token
        The final answer; it is the result of the last step.
    """

    question: str
    answer: str
    variables: tuple[Token, ...]
    operations: tuple[Operation, ...]
    question_slots: tuple[tuple[Token, Quantity], ...]
    answer_slots: tuple[tuple[Token, Quantity], ...]
    fixed: tuple[Fraction, ...]
    final: Token


def tokens(text: str) -> list[Token]:
    """Return the numbers written in a text."""
    return [Token(match[0], to_fraction(match[0]), *match.span()) for match in _TOKEN.finditer(text)]


def understand(question: str, answer: str) -> Problem:
    """Return the dataflow of a problem.

    Every number of the answer must be exactly one of: a number of the question that may change, a hundredth of one that
    is a percentage, the result of a step, or a number that is fixed (in the question as such, or meant by one of its
    words). A number that could be two of these, or none, ends the attempt.

    Raises
    ------
    NotRecomputable
        With the reason.
    """
    steps = _steps(answer)
    final = _final(answer, steps)
    asked = tokens(question)
    variables = _variables(question, answer, asked, steps)
    if not variables:
        raise NotRecomputable("no_free_number")
    places = {token.value: index for index, token in enumerate(variables)}
    percents = {
        token.value / 100: index
        for index, token in enumerate(variables)
        if is_percent(question, token.start, token.end)
    }
    fixed = {token.value for token in asked} - set(places)
    known = _Known(places, percents, fixed | implied_numbers(question))
    operations = _operations(steps, known)
    if not any(quantity.kind == "question" for one in operations for _, quantity in one.operands):
        raise NotRecomputable("no_free_number")
    question_slots = [(token, Quantity("question", places[token.value])) for token in asked if token.value in places]
    slots = _answer_slots(answer, known)
    _check_words(answer, operations)
    _check_percentages(question, answer, asked, known)
    last = known.resolve(final.value)
    if last.kind != "step" or operations[-1].value != final.value:
        raise NotRecomputable("answer_is_no_step")
    return Problem(
        question, answer, tuple(variables), tuple(operations), tuple(question_slots), slots, tuple(sorted(fixed)), final
    )


class _Known:
    """What each value may be; a value that is two things is nothing certain."""

    def __init__(self, places: Mapping[Fraction, int], percents: Mapping[Fraction, int], fixed: set[Fraction]) -> None:
        self._meanings: dict[Fraction, set[Quantity]] = {}
        for value, index in places.items():
            self._add(value, Quantity("question", index))
        for value, index in percents.items():
            self._add(value, Quantity("percent", index))
        for value in fixed:
            self._add(value, Quantity("fixed"))

    def _add(self, value: Fraction, quantity: Quantity) -> None:
        self._meanings.setdefault(value, set()).add(quantity)

    def add_step(self, value: Fraction, index: int, *, varies: bool) -> None:
        """Take note of a step's result; one that depends on nothing free is a fixed number."""
        self._add(value, Quantity("step", index) if varies else Quantity("fixed"))

    def resolve(self, value: Fraction) -> Quantity:
        """Return what a value is."""
        meanings = self._meanings.get(value, set())
        if not meanings:
            raise NotRecomputable("unexplained_number")
        if len(meanings) > 1:
            raise NotRecomputable("ambiguous_number")
        return next(iter(meanings))


def _steps(answer: str) -> list[Step]:
    found = list(notes(answer))
    if answer.count("<<") != len(found):
        raise NotRecomputable("unreadable_note")
    if found:
        _no_step_besides(answer, found)
    else:
        found = list(plain_steps(answer))
        if canonical(answer).count("=") != len(found):
            raise NotRecomputable("unreadable_step")
    if not 0 < len(found) <= _MAX_STEPS:
        raise NotRecomputable("no_steps" if not found else "too_many_steps")
    for step in found:
        try:
            exact = evaluate(step.expression).exact
        except ExpressionError:
            raise NotRecomputable("unreadable_step") from None
        if exact != evaluate(step.stated).exact or exact <= 0:
            raise NotRecomputable("inexact_step")
    return found


def _no_step_besides(answer: str, found: Sequence[Step]) -> None:
    """Refuse answers that compute anything outside their notes: nobody would recompute it."""
    results = {evaluate(step.stated).exact for step in found}
    bare = _BLANK.sub(lambda match: " " * len(match[0]), answer)
    for match in _EQUALS.finditer(bare):
        if match[1] is None or to_fraction(match[1]) not in results or match[2]:
            raise NotRecomputable("step_without_note")


def _final(answer: str, steps: Sequence[Step]) -> Token:
    match = None
    for match in (FINAL.search(answer), _FINAL_WORDS.search(answer.rstrip(" .。"))):
        if match is not None:
            break
    if match is None:
        raise NotRecomputable("no_final_answer")
    token = Token(match[1], to_fraction(match[1].lstrip("-")), *match.span(1))
    if token.value != evaluate(steps[-1].stated).exact:
        raise NotRecomputable("answer_is_no_step")
    return token


def _variables(question: str, answer: str, asked: Sequence[Token], steps: Sequence[Step]) -> list[Token]:
    """Return the numbers of the question that are surely themselves wherever their value is written."""
    results = {evaluate(step.stated).exact for step in steps}
    taken = results | implied_numbers(question) | implied_numbers(answer)
    taken |= {Fraction(number) for number in spelled_numbers(f"{question}\n{answer}")}
    operands = [Counter(token.value for token in tokens(step.expression)) for step in steps]
    uses = sum(operands, Counter[Fraction]())
    values = Counter(token.value for token in asked)
    variables = []
    for token in asked:
        value = token.value
        sole = values[value] == 1 and value not in taken and value > 1
        used = uses[value]
        percent_used = uses[value / 100]
        within = all(one[value] <= 1 for one in operands)
        limited = used + percent_used >= 1 and (used + percent_used == 1 or (value > _SMALL and within))
        if sole and limited and not is_bound(question, token.start, token.end):
            variables.append(token)
    return variables


def _operations(steps: Sequence[Step], known: _Known) -> list[Operation]:
    operations: list[Operation] = []
    for index, step in enumerate(steps):
        pieces, operands, at = [], [], 0
        for token in tokens(step.expression):
            pieces.append(step.expression[at : token.start])
            operands.append((token, known.resolve(token.value)))
            at = token.end
        pieces.append(step.expression[at:])
        value = evaluate(step.stated).exact
        varies = any(quantity.kind != "fixed" for _, quantity in operands)
        operations.append(Operation(tuple(pieces), tuple(operands), value))
        known.add_step(value, index, varies=varies)
    return operations


def _answer_slots(answer: str, known: _Known) -> tuple[tuple[Token, Quantity], ...]:
    slots = []
    for token in tokens(answer):
        quantity = known.resolve(token.value)
        if quantity.kind != "fixed":
            if is_ordinal_or_time(answer, token.end):
                raise NotRecomputable("bound_number")
            slots.append((token, quantity))
    return tuple(slots)


def _check_words(answer: str, operations: Sequence[Operation]) -> None:
    """Refuse an answer that also writes a changing result as a word: `120/60 = 2 hours ... during two hours`."""
    words = spelled_numbers(answer)
    for one in operations:
        if one.value in words and any(quantity.kind != "fixed" for _, quantity in one.operands):
            raise NotRecomputable("spelled_number")


def _check_percentages(question: str, answer: str, asked: Sequence[Token], known: _Known) -> None:
    """Refuse an answer with a percentage that is neither asked nor computed: `40% off, so 60% of $60 is paid`."""
    percentages = {token.value for token in asked if is_percent(question, token.start, token.end)}
    for token in tokens(answer):
        shown_so = is_percent(answer, token.start, token.end) or (percentages and is_hundredth(answer, token.end))
        if shown_so and token.value not in percentages | {100} and known.resolve(token.value).kind != "step":
            raise NotRecomputable("unexplained_percentage")


def shown(value: Fraction, like: str) -> str:
    """Write a value the way a number was written: decimal places, thousands separators, leading point.

    Raises
    ------
    NotRecomputable
        When it has no finite decimals within four places.
    """
    places = decimals_of(like)
    while places <= 4 and (value * 10**places).denominator != 1:
        places += 1
    if places > 4:
        raise NotRecomputable("endless_decimals")
    scaled = int(value * 10**places)
    whole, rest = divmod(scaled, 10**places)
    digits = f"{whole:,}" if "," in like else str(whole)
    text = f"{digits}.{rest:0{places}d}" if places else digits
    return text[1:] if like.startswith(".") and text.startswith("0.") else text


def stated_results(answer: str) -> list[Fraction]:
    """Return the results of the steps of a worked answer, each recomputed, the last one held against the final answer.

    Raises
    ------
    NotRecomputable
        When a step or the final answer does not hold.
    """
    steps = _steps(answer)
    _final(answer, steps)
    return [evaluate(step.stated).exact for step in steps]
