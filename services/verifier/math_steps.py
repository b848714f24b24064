"""Recompute every arithmetic step of a worked answer, exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator

from limoflow.worked.arithmetic import NUMBER, DivisionByZero, ExpressionError, Value, agrees, evaluate, to_fraction
from limoflow.worked.latex import plain
from limoflow.worked.steps import FINAL, NOTE, Step, notes, plain_steps
from schemas.sample import Sample
from services.verifier.checks import MATH_DOMAINS, PASS, Cost, Finding, Options, domain_in

_SCALES = (("thousand", 1000), ("million", 10**6), ("billion", 10**9), ("万", 10**4), ("亿", 10**8))
_LINE_READ = 2000
_NUMBERS = re.compile(NUMBER)
_NOTE_SAID = re.compile(
    rf"<<[^<>=]{{1,400}}=\s*+-?\s*+[$€£¥￥]?\s*+({NUMBER})\s*>>\s?[$€£¥￥]?\s?-?((?>{NUMBER}))(?![\d.,]*\d|\s*[/:^]|\s+\d+\s*/)"
)
_FRACTION_DIVISOR = re.compile(r"/\s*(\d+\s*/\s*\d+)")
_SPACED_THOUSANDS = re.compile(r"(?<=\d) (?=\d{3}\b)")


class MathSteps:
    """Every `<<expression=value>>` note and every plain `a op b = c`, recomputed with fractions.

    Rounding as people write it is accepted (`limoflow.worked.arithmetic.agrees`). What cannot be parsed is
    passed over; a `####` answer whose number stands nowhere else in a worked answer fails as `answer_not_derived`.
    """

    name = "math_steps"
    version = "3"
    cost = Cost.STATIC
    domains: frozenset[str] | None = None

    def applies(self, sample: Sample) -> bool:
        """Mathematics, and whatever carries `<<...>>` notes."""
        return domain_in(sample, MATH_DOMAINS) or NOTE.search(sample.response) is not None

    def check(self, sample: Sample, options: Options) -> Finding | None:  # noqa: ARG002 - the protocol's
        """Return the first wrong step, a pass, or None where no step was written."""
        text = sample.response
        # Elsewhere `<<` is an operator, as in C++.
        if text.rfind("<<") > text.rfind(">>") and domain_in(sample, MATH_DOMAINS):
            return Finding("fail", "unclosed_note", text[text.rfind("<<") :][:80], ">>")
        checked = 0
        for step in _steps(text):
            sound = step_is_sound(step)
            if sound is None or (not sound and _told_in_thousands(text, step)):
                continue
            checked += 1
            if not sound:
                return _wrong(step)
        if not checked:
            return None
        return _contradicted(text) or _underived(text) or PASS


def _steps(text: str) -> Iterator[Step]:
    yield from notes(text)
    yield from plain_steps(plain(text))


def step_is_sound(step: Step) -> bool | None:
    """Tell whether a step holds under any way that people write it; None where it is not certain what it says."""
    try:
        value = evaluate(step.expression)
    except DivisionByZero:
        return False
    except ExpressionError:
        return None
    if agrees(value, step.stated) or any(_holds(other, step.stated) for other in _readings(step.expression)):
        return True
    if not step.alternative:
        return False
    return _sides_agree(step.expression, step.alternative)


def _sides_agree(left: str, right: str) -> bool | None:
    """Tell whether two expressions are equal in any pair of readings; None where one cannot be computed."""
    try:
        lefts = [evaluate(reading) for reading in (left, *_readings(left))]
        rights = [evaluate(reading) for reading in (right, *_readings(right))]
    except ExpressionError:
        return None
    return any(
        abs(one.exact - other.exact) <= max(one.high - one.low, other.high - other.low)
        for one in lefts
        for other in rights
    )


def _told_in_thousands(text: str, step: Step) -> bool:
    """Tell whether the line speaks of thousands and the claimed number is in units: "5 thousand, so 5 * 3 = 15,000"."""
    reach = max(0, step.span[0] - _LINE_READ)
    line = text[max(reach, text.rfind("\n", reach, step.span[0]) + 1) : step.span[0]].casefold()
    scales = [factor for word, factor in _SCALES if word in line]
    return any(_holds(f"({step.expression})*{factor}", step.stated) for factor in scales)


def _readings(expression: str) -> Iterator[str]:
    """Yield what the expression may mean besides: `%` as a unit, `12 / 1/4` as 12 / (1/4), dollars told in cents."""
    if "%" in expression:
        yield expression.replace("%", "")
    if expression.count("/") > 1:
        yield _FRACTION_DIVISOR.sub(r"/(\1)", expression)
    if "$" in expression or "." in expression:
        yield f"({expression})*100"


def _holds(expression: str, stated: str) -> bool:
    try:
        return agrees(evaluate(expression), stated)
    except ExpressionError:
        return False


def _wrong(step: Step) -> Finding:
    try:
        exact = evaluate(step.expression).exact
        shown = str(exact) if len(str(exact)) <= 40 else f"{float(exact):.6g}"
    except DivisionByZero as error:
        shown = str(error)
    return Finding(
        "fail", "wrong_step", step.stated, shown, f"{' '.join(step.expression.split())[:160]}={step.stated[:40]}"
    )


def _contradicted(text: str) -> Finding | None:
    """Find a note that is right and followed by another number: `<<48/2=24>>25`."""
    for match in _NOTE_SAID.finditer(text):
        try:
            noted, said = to_fraction(match[1]), to_fraction(match[2])
        except ExpressionError:
            continue
        value = Value(noted, noted, noted)
        if not (agrees(value, match[2]) or agrees(Value(said, said, said), match[1])):
            return Finding("fail", "note_contradicted", match[2], match[1], match[0][:160])
    return None


def _underived(text: str) -> Finding | None:
    finals = list(FINAL.finditer(text))
    if not finals:
        return None
    final = finals[-1]
    value = abs(to_fraction(final[1].lstrip("-")))
    body = text[: final.start()]
    numbers = [
        to_fraction(number) for form in (body, _SPACED_THOUSANDS.sub("", body)) for number in _NUMBERS.findall(form)
    ]
    if any(abs(value - number) < 1 or value == number * 100 for number in numbers):
        return None
    return Finding("fail", "answer_not_derived", final[1][:40], "a number of the worked answer", final[0][:80])
