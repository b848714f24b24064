from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.worked.arithmetic import ExpressionError, agrees, evaluate
from limoflow.worked.latex import plain
from limoflow.worked.steps import notes, plain_steps
from schemas.sample import Metadata, Sample
from services.verifier.math_steps import MathSteps, step_is_sound

NUMBERS = st.integers(0, 999).map(str) | st.decimals(0, 99, places=1).map(str)
EXPRESSIONS = st.recursive(
    NUMBERS,
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda one: f"({''.join(one)})"),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_the_parser_agrees_with_exact_arithmetic(expression: str) -> None:
    import re

    exact = re.sub(r"\d+(?:\.\d+)?", lambda match: f"Fraction('{match[0]}')", expression)
    try:
        expected = eval(exact, {"Fraction": Fraction})
    except ZeroDivisionError:
        with pytest.raises(ExpressionError):
            evaluate(expression)
        return
    assert evaluate(expression).exact == expected


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$1,200 × 2", 2400),
        ("20%*50", 10),
        ("2^3", 8),
        ("-(3-5)", 2),
        ("６÷２".translate({0xFF16: "6", 0xFF12: "2"}), 3),
        (".5*4", 2),
    ],
)
def test_signs_as_people_write_them(expression: str, value: int) -> None:
    assert evaluate(expression).exact == value


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "2+",
        "(1",
        "1)",
        "2 3",
        "x+1",
        "__import__('os')",
        "9^9^9",
        "9" * 500,
        "(" * 100 + "1" + ")" * 100,
        "1/0",
        "2^(-1)",
        "2^65",
    ],
)
def test_what_is_no_bounded_expression_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(expression)


@pytest.mark.parametrize(
    ("expression", "claimed", "holds"),
    [
        ("1/3", "0.33", True), ("2/3", "0.66", True), ("2/3", "0.67", True), ("2/3", "0.7", True), ("2/3", "0.6", True),
        ("2/3", "0.65", False), ("10/3", "3", True), ("10/3", "4", True), ("10/3", "5", False), ("10/2", "6", False),
        ("33.33*3", "100", True), ("33.33*3", "101", False), ("2.50*3", "7.51", False), ("5+3", "9", False),
    ],
)  # fmt: skip
def test_rounding_as_people_do_it(expression: str, claimed: str, holds: bool) -> None:
    assert agrees(evaluate(expression), claimed) is holds


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("48/2 = <<48/2=24>>24 clips", ["48/2=24"]),
        ("so 3 x 4 = 12, then 12 - 5 = $7.", ["3 * 4=12", "12 - 5=7"]),
        ("小明有 36 × 5 = 180 个", ["36 * 5=180"]),
        ("2x + 1 = 5", []),
        ("x - 2 + 3 = 5", []),
        ("100/5 = 5A/5", []),
        ("from 4:30 + 15 = 4:45", []),
        ("17 / 5 = 3 R 2", []),
        ("12 apples + 5 apples = 17 apples", []),
        ("a - 3 = 4, f(2) = 4, n == 3, 5 <= 6", []),
        ("day 1 * 2 = 20", []),
        ("0900-0130=0730", []),
        ("1. 5+3=8", ["5+3=8"]),
    ],
)
def test_steps_are_read_only_where_it_is_certain_what_they_say(text: str, found: list[str]) -> None:
    steps = [*notes(text), *plain_steps(text)]
    assert [f"{step.expression}={step.stated}" for step in steps if step.note or "<<" not in text] == found


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("12 / 1/4 = 48", True), ("$0.50 - $0.25 = 25 cents", True), ("2/4 = 1/2", True), ("10/100 = 10%", True),
        ("100 - 20% = 80", True), ("14 * 4 = 7 * 8", True), ("14 * 4 = 7 * 9", False), ("3 + 4 = 8", False),
    ],
)  # fmt: skip
def test_steps_hold_under_any_reading_that_people_use(text: str, sound: bool) -> None:
    (step, *_) = plain_steps(text)
    assert step_is_sound(step) is sound


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        ("$5 \\times 6 = 30$", "pass"), ("$5 \\times 6 = 31$", "fail"), ("\\(5 \\cdot 6 = 31\\)", "fail"),
        ("\\[ \\frac{1}{2} + \\frac{1}{3} = \\frac{5}{6} \\]", "pass"), ("\\frac{1}{2} + \\frac13 = 1", None),
        ("\\frac{1}{2} + \\frac{1}{3} = \\frac{2}{5}", "fail"), ("x = \\frac{12}{3} = 5", "fail"),
        ("\\left(3+4\\right) \\cdot 2 &= 14 \\\\ &= 15", "pass"), ("1{,}000 + 1 = 1{,}001", "pass"),
        ("5\\text{ cm} \\times 6\\text{ cm} = 31\\text{ cm}^2", "fail"), ("30^\\circ + 60^\\circ = 90^\\circ", "pass"),
        # what only looks like a step
        ("\\frac{n}{2} + 3 = 7", None), ("(x) - 3 + 2 = 7", None), ("10 \\bmod 3 + 1 = 2", None),
        ("\\sin 30 + 1 = 1.5", None), ("7 + 8 = 3 \\pmod{12}", None), ("7+8=3 (mod 12)", None),
        ("\\binom{5}{2} + 1 = 11", None), ("\\frac{1}{2}x + 3 = 4", None), ("2\\frac{1}{2} + 1 = 3.5", None),
        ("(a) 3 + 4 = 8", "fail"), ("(3 + 4) * 2 = 15", "fail"),
        # notes
        ("48/2 is <<48/2=24>>25", "fail"), ("48/2 is <<48/2=24>>$24.00", "pass"), ("<<10/3=3.33>>3.3", "pass"),
        ("<<2/3=0.67>>2/3", "pass"), ("<<12*2=24>>24, <<24/0=5>>5", "fail"),
    ],
)  # fmt: skip
def test_steps_in_latex_and_what_notes_are_followed_by(response: str, verdict: str | None) -> None:
    one = Sample(id="s", instruction="Q", response=response, metadata=Metadata(domain="mathematics"))
    finding = MathSteps().check(one, {})
    assert (finding and finding.verdict) == verdict


@given(st.text("\\frac{}12,=+$&()[]times. \n", max_size=80))
def test_reading_latex_keeps_every_place(text: str) -> None:
    assert len(plain(text)) == len(text)
