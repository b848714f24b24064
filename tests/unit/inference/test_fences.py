"""The fence around an answer is taken off as one pattern would take it, in time that grows with the answer's length."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from limoflow.inference.fences import unfenced

PATTERN = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")
PIECES = st.sampled_from(["```", "`", "json", "\n", " ", "{}", "a", "\u3000", "\x1c"])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_fence_is_what_the_pattern_says(answer: str) -> None:
    assert unfenced(answer) == PATTERN.sub("", answer)
