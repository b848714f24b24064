from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.verifier.answers import same
from tests.unit.verifier.math_pairs import NEVER_THE_SAME, PLAIN


def test_the_table_is_decided_without_algebra_and_rightly() -> None:
    assert len(PLAIN) >= 100
    assert [(gold, found) for gold, found, agree in PLAIN if same(gold, found) is not agree] == []


@pytest.mark.parametrize(("gold", "found"), NEVER_THE_SAME)
def test_signs_and_brackets_carry_the_meaning(gold: str, found: str) -> None:
    assert same(gold, found) is not True
    assert same(found, gold) is not True


SIGNS = st.text("xyab0123456789+-*/=<>^_()[]{}\\,. ", max_size=12)


@given(SIGNS, SIGNS)
def test_texts_of_formulas_that_differ_by_a_sign_are_never_the_same(before: str, after: str) -> None:
    for one, other in (("+", "-"), ("<", ">"), ("*", "/")):
        gold, found = f"x{before}{one}{after}y", f"x{before}{other}{after}y"
        assert same(gold, found) is not True


@given(st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_whole_numbers_agree_where_they_are_equal(gold: int, found: int) -> None:
    assert same(str(gold), f"{gold:,}") is True
    assert same(str(gold), f"${found}$") is (gold == found)
    assert same(f"\\{{{gold}, {found}\\}}", f"\\{{{found},{gold}\\}}") is True
