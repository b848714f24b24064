"""What a child says besides its arithmetic stays true: percentages, dates, words, parts of a whole."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.run import Run
from schemas.sample import Sample
from services.generator.bindings import is_bound, is_percent, spelled_numbers
from services.generator.numeric_variation import NumericVariation
from services.generator.relations import relations
from services.generator.strategies import Draft, Refusal, check_strategies

SEEDS = [str(seed) for seed in range(25)]


def make_run(*kinds: str, chat: dict[str, str] | None = None) -> Run:
    generate = {"strategies": [{"kind": kind} for kind in kinds], "chat": chat}
    return Run.model_validate({"run_id": "r", "spec": {"name": "r", "sources": [{"path": "x"}], "generate": generate}})


def outcomes(question: str, answer: str) -> list[Draft | Refusal]:
    parent = Sample(id="p", instruction=question, response=answer)
    strategy, run = NumericVariation(), make_run()
    return [strategy.make(parent, seed, run) for seed in SEEDS]


def drafts(question: str, answer: str) -> list[Draft]:
    made = [one for one in outcomes(question, answer) if isinstance(one, Draft)]
    assert made
    return made


def test_parts_of_a_stated_whole_still_add_up() -> None:
    question = "Of 90 pupils 54 are girls and 36 boys. Each girl has 3 pens, each boy 5. How many pens?"
    answer = "54*3=<<54*3=162>>162\n36*5=<<36*5=180>>180\n162+180=<<162+180=342>>342\n#### 342"
    for draft in drafts(question, answer):
        girls, boys = map(int, re.findall(r"(\d+) are girls and (\d+) boys", draft.instruction)[0])
        assert girls + boys == 90


def test_percentages_that_make_up_a_whole_still_do() -> None:
    question = "Of 400 cars 60% are red and 40% blue. A red one costs 7 coins, a blue one 9. What do all cost?"
    answer = (
        "60/100*400=<<60/100*400=240>>240\n40/100*400=<<40/100*400=160>>160\n240*7=<<240*7=1680>>1680\n"
        "160*9=<<160*9=1440>>1440\n1680+1440=<<1680+1440=3120>>3120\n#### 3120"
    )
    made = [one for one in outcomes(question, answer) if isinstance(one, Draft)]
    assert all(sum(map(int, re.findall(r"(\d+)%", draft.instruction))) == 100 for draft in made)


@pytest.mark.parametrize(
    ("unit", "most", "value"), [("days a week", 7, 6), ("weeks a year", 52, 48), ("hours a day", 24, 20)]
)
def test_times_stay_within_their_cycle(unit: str, most: int, value: int) -> None:
    total = value * 350
    question = f"He works {value} {unit} for $350 each time. What is his pay?"
    for draft in drafts(question, f"{value}*350=<<{value}*350={total}>>{total}\n#### {total}"):
        assert int(draft.instruction.split()[2]) <= most


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Rob leaves at 11 a.m. and Mark is 2 hours early.", "He leaves at 11-2=<<11-2=9>>9.\n#### 9"),
        ("商店8点开门，营业5小时，几点关门？", "8+5=13。答案是13。"),
        ("He comes on March 14 and goes on March 25.", "25-14=<<25-14=11>>11\n#### 11"),
    ],
)
def test_dates_and_clock_times_are_not_drawn(question: str, answer: str) -> None:
    bound = re.findall(r"11 a\.m\.|8点|March \d+", question)
    for one in outcomes(question, answer):
        assert isinstance(one, Refusal) or all(part in one.instruction for part in bound)


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        (
            "A fox runs 50 km an hour. How far in 120 minutes?",
            "120/60=<<120/60=2>>2 hours. During two hours it runs 50*2=<<50*2=100>>100.\n#### 100",
            "spelled_number",
        ),
        (
            "A $60 shirt is 40% off. How much is paid?",
            "He pays 60% of it: 60*.40=<<60*.40=24>>24, 60-24=<<60-24=36>>36\n#### 36",
            "unexplained_percentage",
        ),
        ("Tom has 36 pens and buys 51 more.", "x = 36. Then 36+51 = 87. The answer is 87.", "unreadable_step"),
    ],
)
def test_answers_that_say_more_than_is_recomputed_are_refused(question: str, answer: str, reason: str) -> None:
    assert set(outcomes(question, answer)) == {Refusal(reason)}


def test_a_number_written_as_a_word_in_the_answer_is_not_drawn() -> None:
    for draft in drafts("He has 25 pens and 11 caps.", "The twenty-five pens: 25+11=<<25+11=36>>36\n#### 36"):
        assert draft.instruction.startswith("He has 25 pens")


def test_chinese_numbers_without_spaces_are_recomputed() -> None:
    for draft in drafts("面包店每天烤36个面包，卖出21个，还剩多少个？", "还剩36-21=15个。答案是15。"):
        baked, sold = map(int, re.findall(r"\d+", draft.instruction))
        assert draft.response == f"还剩{baked}-{sold}={baked - sold}个。答案是{baked - sold}。"
        assert draft.answer == str(baked - sold)


@settings(max_examples=80, deadline=None)
@given(st.integers(13, 900), st.integers(2, 12), st.integers(13, 900), st.booleans(), st.text(min_size=1, max_size=6))
def test_every_child_of_every_such_problem_is_right(
    boxes: int, each: int, loose: int, chinese: bool, seed: str
) -> None:
    inside, total = boxes * each, boxes * each + loose
    question = (
        f"仓库有{boxes}箱铅笔，每箱{each}支，另有{loose}支。共多少支？"
        if chinese
        else f"There are {boxes} boxes of {each} pens, and {loose} loose pens. How many pens are there?"
    )
    answer = f"{boxes}*{each}=<<{boxes}*{each}={inside}>>{inside}\n{inside}+{loose}=<<{inside}+{loose}={total}>>{total}"
    parent = Sample(id="p", instruction=question, response=f"{answer}\n#### {total}")
    before = parent.to_bytes()
    one = NumericVariation().make(parent, seed, make_run())
    assert parent.to_bytes() == before
    if isinstance(one, Draft):
        first, second, third = map(int, re.findall(r"\d+", one.instruction))
        product, whole = first * second, first * second + third
        assert one.response == (
            f"{first}*{second}=<<{first}*{second}={product}>>{product}\n"
            f"{product}+{third}=<<{product}+{third}={whole}>>{whole}\n#### {whole}"
        )
        assert one.answer == str(whole)


@given(st.text())
def test_reading_words_never_fails(text: str) -> None:
    assert all(number >= 0 for number in spelled_numbers(text))


def test_words_are_read_as_numbers() -> None:
    assert {25, 200, 12} <= spelled_numbers("Twenty-five of two hundred, a dozen")
    assert {12, 25, 100, 30_500} <= spelled_numbers("十二、二十五、一百、三万零五百")


def test_bound_numbers_and_percentages_are_told() -> None:
    assert all(is_bound(text, text.index("5"), text.index("5") + 1) for text in ("5 pm", "第5天", "5月", "x5", "5/6"))
    assert not any(is_bound(text, text.index("5"), text.index("5") + 1) for text in ("5 pens", "烤5个", "5千克", "$5"))
    assert all(is_percent(text, text.index("5"), text.index("5") + 1) for text in ("5%", "5 percent", "百分之5"))


@given(st.lists(st.integers(1, 60).map(Fraction), max_size=8))
def test_relations_hold_for_the_numbers_that_they_were_found_in(values: list[Fraction]) -> None:
    found = relations(values)
    assert found is not None
    assert all(one.holds(values) for one in found)
    assert relations([Fraction(1)] * 13) is None


@pytest.mark.parametrize(
    ("known", "reason"), [("19", "reference_disagrees"), ("many", "unreadable_reference"), ("17", None)]
)
def test_a_parent_that_contradicts_its_reference_has_no_child(known: str, reason: str | None) -> None:
    fields = {"id": "p", "instruction": "Tom has 48 pens and sells 31. How many are left?"}
    metadata = {"reference": {"answer": known}}
    parent = Sample.model_validate({**fields, "response": "48-31=<<48-31=17>>17\n#### 17", "metadata": metadata})
    one = NumericVariation().make(parent, "seed", make_run())
    assert isinstance(one, Draft) if reason is None else one == Refusal(reason)


def test_problems_with_strategies_are_told_before_a_run() -> None:
    chat = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
    assert check_strategies(make_run("numeric_variation").spec) == []
    assert check_strategies(make_run("self_instruct", chat=chat).spec) == []
    (missing,) = check_strategies(make_run("self_instruct").spec)
    assert "generate.chat" in missing
    (unknown,) = check_strategies(make_run("magic").spec)
    assert "'magic'" in unknown
    assert "numeric_variation" in unknown
