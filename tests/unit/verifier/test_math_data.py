"""What the checks of mathematics say of every answer of GSM8K's train file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from limoflow.worked.steps import notes
from schemas.sample import Metadata, Reference, Sample
from services.verifier.answers import final_answer, same
from services.verifier.math_steps import MathSteps, step_is_sound
from services.verifier.question_rules import question_fault

GSM8K = Path(__file__).resolve().parents[4] / "shared" / "data" / "gsm8k" / "train.jsonl"
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(os.environ.get("CI") == "true" or not GSM8K.exists(), reason="GSM8K is not on this machine"),
]

# Rows, from 0, whose worked answer says something wrong; docs/checks/math_steps.md shows what.
WRONG_STEP = {
    167, 168, 198, 224, 502, 716, 3002, 3334, 3409, 4691, 4973, 5195, 5781, 6157, 6256, 6700, 6713, 6760, 6812, 6842,
    7178, 7444,
}  # fmt: skip
ANSWER_FROM_NOWHERE = {356, 1154, 2770, 4796, 5350}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return [json.loads(line) for line in GSM8K.read_text(encoding="utf-8").splitlines()]


def test_the_final_answer_is_found_in_every_one(rows: list[dict[str, str]]) -> None:
    assert len(rows) == 7473
    for row in rows:
        found = final_answer(row["answer"])
        assert found is not None
        assert found.marked
        assert same(row["answer"].rpartition("####")[2].strip(), found.text) is True


def test_every_note_is_right(rows: list[dict[str, str]]) -> None:
    read = [step for row in rows for step in notes(row["answer"])]
    written = sum(row["answer"].count("<<") for row in rows)
    # The rest compute nothing, as <<12=12>>.
    assert (written, len(read)) == (23716, 23366)
    # 560//10 and 180//3 are programs, and are passed over.
    unread = [step.expression for step in read if step_is_sound(step) is None]
    assert unread == ["560//10", "180//3"]
    assert [step for step in read if step_is_sound(step) is False] == []


def test_the_answers_refused_are_the_ones_listed(rows: list[dict[str, str]]) -> None:
    refused: dict[str, set[int]] = {}
    for number, row in enumerate(rows):
        known = Reference(answer=row["answer"].rpartition("####")[2].strip())
        metadata = Metadata(domain="mathematics", reference=known)
        sample = Sample(id="s", instruction=row["question"], response=row["answer"], metadata=metadata)
        finding = MathSteps().check(sample, {})
        if finding is not None and finding.verdict != "pass":
            refused.setdefault(finding.reason or "", set()).add(number)
    assert refused == {"wrong_step": WRONG_STEP, "answer_not_derived": ANSWER_FROM_NOWHERE}


def test_no_question_is_refused_by_the_rules(rows: list[dict[str, str]]) -> None:
    assert [row["question"] for row in rows if question_fault(row["question"])] == []
