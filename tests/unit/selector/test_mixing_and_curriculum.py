"""Shares of domains and the order of learning."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.run import RunSpec
from services.selector.curriculum import curriculum, pace
from services.selector.mixing import doremi_shares, excess_loss, fixed_shares, shares_after_feedback
from services.selector.shares_file import mixed_spec

LOSSES = st.dictionaries(st.sampled_from("abc"), st.floats(0, 5))


@given(st.lists(LOSSES, max_size=6))
def test_doremi_is_the_mean_of_the_multiplicative_updates(steps: list[dict[str, float]]) -> None:
    weights, last = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, {"a": 0.0, "b": 0.0, "c": 0.0}
    visited = []
    for step in steps:
        last = {**last, **step}
        grown = {name: weights[name] * math.exp(last[name]) for name in weights}
        weights = {name: (1 - 1e-4) * grown[name] / sum(grown.values()) + 1e-4 / 3 for name in grown}
        visited.append(weights)
    expected = {n: sum(it[n] for it in visited) / len(visited) for n in weights} if visited else weights
    found = doremi_shares(steps, "cab")
    assert found == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(1.0)


def test_excess_loss_counts_only_what_the_reference_does_better() -> None:
    assert excess_loss([2.0, 1.0, 3.0], [1.0, 4.0, 3.0]) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="not 1 and 2"):
        excess_loss([1.0], [1.0, 2.0])


def test_feedback_moves_shares_to_the_weak_and_keeps_all_alive() -> None:
    after = shares_after_feedback({"math": 3.0, "code": 1.0, "chat": 0.0}, {"math": 0.9, "code": 0.3}, strength=2.0)
    assert sum(after.values()) == pytest.approx(1.0)
    assert after["code"] > 0.25
    assert after["math"] < 0.75
    assert after["chat"] > 0.0
    assert shares_after_feedback({"math": 3.0, "code": 1.0}, {}) == {"code": 0.25, "math": 0.75}
    with pytest.raises(ValueError, match=r"'math' must be in \[0, 1\]"):
        shares_after_feedback({"math": 1.0}, {"math": math.nan})


def test_weights_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="must not add up to 0"):
        fixed_shares({"a": 0.0})
    with pytest.raises(ValueError, match="'a' must be a finite number"):
        fixed_shares({"a": math.inf, "b": 1.0})
    with pytest.raises(ValueError, match=r"'x' is 1\.0"):
        doremi_shares([{"x": 1.0}], "ab")


def test_the_pace_begins_at_its_start_and_admits_everything_at_the_end() -> None:
    assert pace(0.0, 0.3, 2.0) == pytest.approx(0.3)
    assert pace(0.5, 0.2, 1.0) == pytest.approx(0.6)
    assert pace(0.5, 0.2, 2.0) == pytest.approx(math.sqrt(0.04 + 0.96 * 0.5))
    assert pace(1.0) == pace(7.0) == 1.0
    with pytest.raises(ValueError, match="start in"):
        pace(0.1, 0.0)


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.floats(-5, 5)), st.integers(1, 6))
def test_a_curriculum_holds_everything_once_and_goes_up(difficulties: dict[str, float], steps: int) -> None:
    easy = curriculum(difficulties, "easy_first")
    assert [difficulties[name] for name in easy] == sorted(difficulties.values())
    assert [difficulties[n] for n in curriculum(difficulties, "hard_first")] == sorted(difficulties.values())[::-1]
    baby = curriculum(difficulties, "baby_steps", steps=steps)
    assert sorted(baby) == sorted(difficulties)
    seen = 0
    for step in range(1, steps + 1):
        upto = round(pace(step / steps) * len(easy))
        assert set(baby[seen:upto]) == set(easy[seen:upto])
        seen = upto


def test_a_curriculum_of_unknown_difficulty_is_refused() -> None:
    with pytest.raises(ValueError, match="'x' must be a finite number"):
        curriculum({"x": math.nan}, "easy_first")


def test_a_run_takes_its_domain_shares_from_a_file(tmp_path: Path) -> None:
    files = {
        "doremi": '{"math": 0.1, "code": 0.9}\n{"code": 0.9}\n',
        "feedback": '{"run_id": "r", "round": 1, "shares": {"math": 0.3, "code": 0.7}}',
        "scores": '{"math": 0.9, "code": 0.4}',
    }
    spec = {"name": "x", "sources": [{"path": "x"}]}
    found = {}
    for kind, text in files.items():
        (tmp_path / kind).write_text(text, encoding="utf-8")
        mixed = RunSpec.model_validate({**spec, "select": {"mixing": {"kind": kind, "file": kind}}})
        found[kind] = mixed_spec(mixed, tmp_path).select.quotas["domain"]
        assert sum(found[kind].values()) == pytest.approx(1.0)
        assert found[kind]["code"] > found[kind]["math"] > 0.0
    assert found["feedback"] == {"code": 0.7, "math": 0.3}
    assert found["doremi"] == pytest.approx(
        doremi_shares([{"math": 0.1, "code": 0.9}, {"code": 0.9}], ["math", "code"])
    )
    plain = RunSpec.model_validate(spec)
    assert mixed_spec(plain, tmp_path) is plain


@pytest.mark.parametrize("text", ["", "[1]", '{"math": "much"}', '{"math": 0.0}', "{"])
def test_a_file_without_shares_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "shares").write_text(text, encoding="utf-8")
    for kind, file in (("feedback", "shares"), ("doremi", "nowhere")):
        mixing = {"kind": kind, "file": file}
        spec = RunSpec.model_validate({"name": "x", "sources": [{"path": "x"}], "select": {"mixing": mixing}})
        with pytest.raises(ValueError, match=rf"select\.mixing\.file '{file}' gives no shares"):
            mixed_spec(spec, tmp_path)
