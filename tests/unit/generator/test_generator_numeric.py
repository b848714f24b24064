from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limoflow.worked.arithmetic import evaluate
from limoflow.worked.steps import FINAL, notes, plain_steps
from schemas.run import Run
from schemas.sample import Metadata, Sample
from services.generator.numeric_variation import NumericVariation
from services.generator.strategies import Draft, Refusal
from services.generator.worked import NotRecomputable, shown, understand
from services.verifier.math_steps import step_is_sound

RUN = Run.model_validate({"run_id": "r", "spec": {"name": "r", "sources": [{"path": "x"}]}})
GSM8K = Path(__file__).resolve().parents[4] / "shared" / "data" / "gsm8k" / "train.jsonl"
QUESTION = (
    "Mia packs 36 pears a day into bags of 4. She works 15 days and sells each bag for $2.50. How much does she earn?"
)
ANSWER = (
    "She fills 36/4 = <<36/4=9>>9 bags a day.\nThat makes 9*15 = <<9*15=135>>135 bags.\n"
    "She earns 135*2.50 = $<<135*2.50=337.50>>337.50.\n#### 337.50"
)


def vary(question: str, answer: str, seed: str = "seed") -> Draft | Refusal:
    parent = Sample(id="p", instruction=question, response=answer, metadata=Metadata(domain="mathematics"))
    return NumericVariation().make(parent, seed, RUN)


def child(question: str, answer: str, seed: str = "seed") -> Draft:
    draft = vary(question, answer, seed)
    assert isinstance(draft, Draft), draft
    return draft


def sound(draft: Draft) -> bool:
    steps = list(notes(draft.response)) or list(plain_steps(draft.response))
    every = [*steps, *plain_steps(draft.response)]
    final = FINAL.search(draft.response)
    exact = all(step_is_sound(step) is not False for step in every)
    exact = exact and all(evaluate(step.expression).exact == evaluate(step.stated).exact for step in steps)
    last = final is None or evaluate(final[1]).exact == evaluate(steps[-1].stated).exact
    return (
        exact and last and draft.answer is not None and evaluate(draft.answer).exact == evaluate(steps[-1].stated).exact
    )


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=8))
def test_every_child_is_right_and_differs_and_the_same_id_gives_the_same_child(seed: str) -> None:
    draft = child(QUESTION, ANSWER, seed)
    assert sound(draft)
    assert draft.instruction != QUESTION
    assert draft.response != ANSWER
    assert draft == child(QUESTION, ANSWER, seed)


def test_two_ids_give_two_children() -> None:
    assert len({child(QUESTION, ANSWER, str(seed)).instruction for seed in range(8)}) > 3


def test_plain_steps_and_chinese_are_recomputed_too() -> None:
    draft = child("一家面包店每天烤 36 个面包，卖出 21 个，还剩多少个？", "还剩 36 - 21 = 15 个。答案是 15。")
    assert sound(draft)
    assert "36" not in draft.response or "21" not in draft.response


def test_a_percentage_and_its_hundredth_change_together() -> None:
    question = "A coat costs $80. It is sold for 15% less. How much is saved?"
    draft = child(question, "She saves 80*.15 = $<<80*.15=12>>12.\n#### 12")
    assert sound(draft)
    percent = int(draft.instruction.split("%")[0].split()[-1])
    assert f"*.{percent:02d}" in draft.response or f"*.{percent:02d}".rstrip("0") in draft.response


@pytest.mark.parametrize(
    ("question", "answer", "why"),
    [
        (
            "He has 48 pens and gives 20% away.",
            "48*.8=<<48*.8=38.4>>38.4\n#### 38.4",
            "unexplained_number",
        ),
        ("He has 48 pens and 48 caps. Sum?", "48+48=<<48+48=96>>96\n#### 96", "no_free_number"),
        ("He has 48 pens. He eats two.", "48-3=<<48-3=45>>45\n#### 45", "unexplained_number"),
        ("He has 48 pens, 31 left.", "48-31=<<48-31=18>>18\n#### 18", "inexact_step"),
        ("He has 48 pens, 31 left.", "48-31=<<48-31=17>>17\n#### 19", "answer_is_no_step"),
        ("He has 48 pens, 31 left.", "48-31=<<48-31=17>>17", "no_final_answer"),
        ("He has 48 pens, 31 left.", "He has seventeen.", "no_steps"),
        ("He has 48 pens, 31 left.", "48-31=<<48-31>>17\n#### 17", "unreadable_note"),
        ("He has 48 pens, 31 left, 60 in all.", "48+12 = 60, so 60-31=<<60-31=29>>29\n#### 29", "step_without_note"),
        (
            "17 pens, 48 caps and 31 nibs.",
            "48-31=<<48-31=17>>17, 17+17=<<17+17=34>>34\n#### 34",
            "ambiguous_number",
        ),
        ("In 1990 he left.", "1990+30=<<1990+30=2020>>2020\n#### 2020", "no_free_number"),
    ],
)
def test_what_cannot_be_recomputed_with_certainty_is_refused(question: str, answer: str, why: str) -> None:
    assert vary(question, answer) == Refusal(why)


def test_the_order_of_all_numbers_is_kept_so_that_comparisons_stay_true() -> None:
    question = "Orders over $100 ship free. Tom buys 3 hats at $25 and a coat at $58. What does he pay?"
    answer = "Hats: 3*25=<<3*25=75>>75. With the coat 75+58=$<<75+58=133>>133.\n#### 133"
    for seed in range(30):
        draft = vary(question, answer, str(seed))
        if isinstance(draft, Draft):
            assert float(draft.answer or 0) > 100


def test_numbers_keep_their_way_of_writing() -> None:
    question = "A house costs $120,000 and a barn $35,000. What do both cost?"
    draft = child(question, "Both: 120,000+35,000 = $<<120000+35000=155000>>155,000\n#### 155,000")
    assert sound(draft)
    assert all("," in part for part in draft.instruction.split() if part.startswith("$"))
    with pytest.raises(NotRecomputable):
        shown(evaluate("1/3").exact, "5")


def test_the_dataflow_names_every_number() -> None:
    problem = understand(QUESTION, ANSWER)
    assert {token.text for token in problem.variables} <= {"36", "4", "15", "2.50"}
    assert [operation.value for operation in problem.operations] == [9, 135, 337.5]


@given(st.text(), st.text())
def test_no_text_breaks_it(question: str, answer: str) -> None:
    assert isinstance(vary(question, answer), Draft | Refusal)


@pytest.mark.data
@pytest.mark.skipif(os.environ.get("CI") == "true" or not GSM8K.exists(), reason="needs shared/data")
def test_a_good_part_of_gsm8k_can_be_varied_and_no_child_is_wrong() -> None:
    rows = [json.loads(line) for line in GSM8K.read_text().splitlines()[:1500]]
    drafts = [vary(row["question"], row["answer"], row["question"]) for row in rows]
    made = [draft for draft in drafts if isinstance(draft, Draft)]
    assert len(made) > 0.35 * len(rows)
    assert all(sound(draft) for draft in made)


def test_a_text_that_is_too_long_has_no_child() -> None:
    assert vary(QUESTION + " pears" * 5000, ANSWER) == Refusal("too_long")
    assert isinstance(vary(QUESTION + " Pears are green." * 100, ANSWER), Draft)
