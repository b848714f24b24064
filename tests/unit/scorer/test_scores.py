"""The scores one by one: published definitions, bad input, models and endpoints that answer badly."""

from __future__ import annotations

import json
import math
import re
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.errors import ChatRequestError, DependencyUnavailable, UsageError
from limoflow.inference.fakes import FakeChat, FakeModels
from limoflow.plugins import load_operator, operators
from schemas.run import Run, RunSpec
from schemas.sample import Sample
from services.scorer.app import layer
from services.scorer.deita import complexity_prompt, expectation
from services.scorer.depth import chain, steps
from services.scorer.learning import learning_potential, read_rewards
from services.scorer.lexical import detail, distinct, mtld
from services.scorer.pass_rate import final_answer, pass_at_k, same_answer
from services.scorer.score import GROUP, OWN, About

CHAT = {"base_url": "http://127.0.0.1:1/v1", "model": "m"}
RATINGS = {"instruction_following": 5, "truthfulness": 4, "honesty": 4, "helpfulness": 3}


def sample_of(**metadata: object) -> Sample:
    fields = {"id": "x", "instruction": "Add 2 and 3.", "response": "2 + 3 = 5. So 5.", "metadata": metadata}
    return Sample.model_validate(fields)


def run_of(models: dict[str, str] | None = None, **score: object) -> Run:
    spec = {"name": "x", "sources": [{"path": "x"}], "score": {"chat": CHAT, **score}}
    return Run.model_validate({"run_id": "r", "spec": spec, "models": {"ifd": "tiny", **(models or {})}})


async def scored(run: Run, chat: FakeChat | None = None, models: FakeModels | None = None, **metadata: object):
    made = layer(models or FakeModels(), chat=lambda _endpoint, **_: chat or FakeChat(lambda _: "{}"))
    (passed,) = (await made.process(sample_of(**metadata), run)).passed
    return passed.metadata


def test_every_score_says_what_it_means() -> None:
    for name in operators(GROUP, OWN):
        kind = load_operator(GROUP, name, OWN)
        assert isinstance(kind.about, About)
        assert kind.about.direction in ("more", "less", "none")
        assert all((kind.name, kind.version, kind.about.unit, kind.about.paper, kind.about.mapping))


async def test_scores_that_need_the_same_model_share_one_pass() -> None:
    models = FakeModels()
    found = await scored(run_of(embedding=False), models=models)
    assert models.calls == 1
    assert found.evaluations.fluency == pytest.approx(1 / found.advanced_assessment.perplexity)
    assert found.advanced_assessment.perplexity == pytest.approx(math.exp(found.advanced_assessment.ifd.loss_direct))


@given(st.lists(st.floats(-50, 0), min_size=6, max_size=6), st.floats(-5, 5))
def test_the_expectation_over_labels(logprobs: list[float], shift: float) -> None:
    shares = [math.exp(value) for value in logprobs]
    slow = sum(k * share for k, share in enumerate(shares, start=1)) / sum(shares)
    assert expectation(logprobs) == pytest.approx(slow)
    assert expectation([value + shift for value in logprobs]) == pytest.approx(slow)


@pytest.mark.parametrize("bad", [[], [-1.0] * 5, [math.nan, *[-1.0] * 5], [-math.inf, *[-1.0] * 5]])
def test_a_missing_label_is_no_score(bad: list[float]) -> None:
    assert expectation(bad) is None


async def test_deita_by_a_scorer_model() -> None:
    run = run_of({"deita_complexity": "scorer"}, deita={"complexity": "a/path"})
    found = await scored(run)
    label = expectation(await FakeModels().labels("scorer", complexity_prompt("Add 2 and 3.")))
    assert found.advanced_assessment.deita_complexity == pytest.approx(label)
    assert found.evaluations.instruction_complexity == pytest.approx(label / 6)
    # No scorer of quality is named: rules.
    assert found.evaluations.response_quality == (await scored(run_of())).evaluations.response_quality


async def test_deita_by_a_chat_endpoint_with_log_probabilities() -> None:
    told = {str(k): math.log(share) for k, share in enumerate((0.1, 0.1, 0.1, 0.1, 0.1, 0.4), start=1)}
    chat = FakeChat(lambda _: "6", told)
    found = await scored(run_of(deita={"chat": True}), chat)
    assert found.evaluations.response_quality == pytest.approx((1.5 + 2.4) / 0.9 / 6)
    del told["3"]
    silent = await scored(run_of(deita={"chat": True}), FakeChat(lambda _: "6", told))
    assert silent.evaluations.response_quality is None
    assert "label" in silent.advanced_assessment.reasons["response_quality"]


async def test_the_judges() -> None:
    def answer(messages):
        said = messages[0].content
        if "four aspects" in said:
            return f"Sure: {json.dumps(RATINGS)}"
        return '{"score": 4.5}' if "accurate" in said else '{"tags": ["Addition", " addition", "numbers"]}'

    run = run_of(judges=["ultrafeedback", "alpagasus", "instag"])
    found = await scored(run, FakeChat(answer))
    assert found.evaluations.ultrafeedback == pytest.approx(0.75)
    assert found.evaluations.alpagasus == pytest.approx(0.9)
    assert found.evaluations.instag == pytest.approx(1 - math.exp(-0.5))
    assert found.advanced_assessment.instag_raw == ["addition", "numbers"]


@pytest.mark.parametrize(
    "said",
    ["", "good", "[1]", "{]}", json.dumps(RATINGS | {"honesty": 9}), json.dumps(RATINGS | {"honesty": "4"}), "{}"],
)
async def test_an_unreadable_judge_is_no_score(said: str) -> None:
    found = await scored(run_of(judges=["ultrafeedback"]), FakeChat(lambda _: said))
    assert found.evaluations.ultrafeedback is None
    assert "judge" in found.advanced_assessment.reasons["ultrafeedback"]


async def test_a_refused_question_is_a_reason_and_an_outage_rises() -> None:
    run = run_of(judges=["alpagasus"])
    found = await scored(run, FakeChat(lambda _: ChatRequestError("too long")))
    assert found.advanced_assessment.reasons["alpagasus"] == "too long"
    with pytest.raises(DependencyUnavailable):
        await scored(run, FakeChat(lambda _: DependencyUnavailable("down")))


def test_a_run_without_endpoint_may_not_ask_one() -> None:
    with pytest.raises(ValueError, match="chat endpoint"):
        RunSpec.model_validate({"name": "x", "sources": [{"path": "x"}], "score": {"judges": ["instag"]}})


async def test_the_band_of_successes() -> None:
    answers = iter(["#### 5", "The sum is \\boxed{5}", "so 6", "five"] * 3)
    run = run_of(pass_rate={"attempts": 4, "least": 1, "most": 2})
    found = await scored(run, FakeChat(lambda _: next(answers)), reference={"answer": "5.0"})
    assert (found.evaluations.pass_rate, found.evaluations.pass_band) == (0.5, 1.0)
    unknown = await scored(run, FakeChat(lambda _: next(answers)))
    assert unknown.evaluations.pass_rate is None
    assert "reference" in unknown.advanced_assessment.reasons["pass_band"]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [("1,200", "1200.0", True), ("1/2", "0.5", True), ("$5", "5", True), ("Paris.", "paris", True), ("5", "6", False)],
)
def test_final_answers(left: str, right: str, same: bool) -> None:
    assert same_answer(final_answer(f"...\n#### {left}"), right) is same
    assert not same_answer("", "")


def test_pass_at_k_is_the_share_of_draws_that_hold_a_success() -> None:
    solved = [True, True, False, False, False]
    draws = list(permutations(solved, 2))
    assert pass_at_k(5, 2, 2) == pytest.approx(sum(any(draw) for draw in draws) / len(draws))
    with pytest.raises(ValueError, match="does not exist"):
        pass_at_k(2, 3, 1)


def test_mtld_by_hand() -> None:
    # "a b a": 2 of 3 words are distinct, below 0.72: a factor of three words, both ways.
    assert mtld(["a", "b", "a"] * 4) == pytest.approx(3.0)
    assert mtld(["a"] * 10) == 2.0
    assert mtld(list("abcdefgh")) == 8.0
    assert mtld([]) == 0.0


def test_distinct_and_detail() -> None:
    assert distinct(["a", "b", "a", "b"], 2) == pytest.approx(2 / 3)
    plain, concrete = "it went up and then it went down", "it went up 3 metres in Oslo, then 5 down"
    assert detail(concrete) > detail(plain)
    assert detail(concrete) == pytest.approx(detail(f" {concrete} "))
    assert detail("") == 0.0


def test_a_chain_that_checks_itself_scores_more_in_both_languages() -> None:
    for plain, checked in (
        ("The sum is 5.", "Perhaps it is 5. Let me check: therefore 5."),
        ("和是5。", "也许是5。验证：因此是5。"),
    ):
        assert chain(checked) > chain(plain)


@given(st.text(max_size=200))
def test_text_scores_stay_in_range(text: str) -> None:
    assert 0.0 <= chain(text) <= 1.0
    assert 0.0 <= detail(text) <= 1.0


def test_learning_potential_by_the_formula() -> None:
    records = {"follows": [0.2, 0.6, 0.9], "flat": [0.9, 0.9, 0.9], "never": [0.0, 0.0, 0.0]}
    means = [sum(column) / 3 for column in zip(*records.values(), strict=True)]
    found = learning_potential(records)
    for name, record in records.items():
        distance = sum((r - m) ** 2 for r, m in zip(record, means, strict=True))
        assert found[name] == pytest.approx(1 - distance / sum((1 - m) ** 2 for m in means))
    assert found["follows"] == max(found.values())


def test_gaps_of_a_record_take_the_next_reward_or_end_it() -> None:
    full = {"a": [0.5, 0.5, 1.0], "b": [0.0, 0.5, 0.5]}
    gaps = {"a": [None, 0.5, 1.0], "b": [0.0, None, 0.5], "c": [None, None, 1.0], "d": [0.1, 0.2, None]}
    assert learning_potential(gaps) == learning_potential(full)


rewards = st.lists(st.floats(0, 1), min_size=3, max_size=3)


@given(st.dictionaries(st.text(max_size=3), rewards, max_size=8), st.randoms())
def test_learning_potential_is_a_function_of_the_set(records: dict[str, list[float]], random) -> None:
    shuffled = list(records.items())
    random.shuffle(shuffled)
    found = learning_potential(records)
    assert learning_potential(dict(shuffled)) == found
    assert all(value <= 1.0 for value in found.values())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1, 1.1])
def test_a_reward_out_of_range_is_refused_by_name(bad: float) -> None:
    with pytest.raises(ValueError, match="'a'"):
        learning_potential({"a": [bad, 0.5]})
    with pytest.raises(ValueError, match="checkpoints"):
        learning_potential({"a": [0.5], "b": [0.5, 0.5]})


def records_in(folder: Path, *lines: object) -> Path:
    path = folder / "told.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


async def test_the_learning_potential_of_a_text_is_looked_up_by_its_content(tmp_path: Path) -> None:
    known = {sample_of().content_hash: [0.2, 0.6], "other": [0.4, 0.8], "far": [1.0, 1.0]}
    records_in(tmp_path, *({"content_hash": text, "rewards": line} for text, line in known.items()))
    made = layer(FakeModels(), rewards=tmp_path)
    run = run_of({"rewards": "told"}, learning={})
    (passed,) = (await made.process(sample_of(), run)).passed
    found = passed.metadata.advanced_assessment
    expected = learning_potential(known)[sample_of().content_hash]
    assert (found.learning_potential, found.learning["potential"]) == (expected, expected)
    unknown = sample_of().model_copy(update={"response": "Another answer."})
    (passed,) = (await made.process(unknown, run)).passed
    assert passed.metadata.advanced_assessment.learning_potential is None
    assert "told" in passed.metadata.advanced_assessment.reasons["learning_potential"]
    with pytest.raises(DependencyUnavailable, match="absent"):
        await made.process(sample_of(), run_of({"rewards": "absent"}, learning={}))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "no checkpoints"),
        (["text"], "line 1"),
        ([{"content_hash": "a", "rewards": [1.5]}], "less than or equal to 1"),
        ([{"content_hash": "a", "rewards": [math.nan]}], "line 1"),
        ([{"content_hash": "a", "rewards": ["0.5"]}], "number"),
        ([{"content_hash": "a", "rewards": [0.5]}, {"content_hash": "b", "rewards": []}], r"\[0, 1\] checkpoints"),
    ],
)
def test_a_file_that_holds_no_records_is_refused_by_line(tmp_path: Path, lines: list[object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_rewards(records_in(tmp_path, *lines))
    with pytest.raises(UsageError, match="cannot be read"):
        read_rewards(tmp_path / "nowhere.jsonl")


@given(
    st.text(alphabet="\n\r \t1.)-*x=<>st第一步", max_size=40)
    | st.lists(
        st.sampled_from(["\n", " ", "1.", "- ", "* ", "step 2", "第三步", "<<1=1>>", "a", "\n1) "]), max_size=20
    ).map("".join)
)
def test_steps_are_those_of_the_plain_pattern(text: str) -> None:
    pattern = r"<<[^<>]*>>|=|\n\s*(?:\d+[.)]|[-*])\s|\bstep\s*\d+|第[一二三四五六七八九十\d]+步"
    assert steps(text) == len(re.findall(pattern, text, re.IGNORECASE))


@pytest.mark.parametrize(
    "huge", ["1e40000000", "1E-40000000", "1e4_0000000", "$1e40000000.", "9" * 200_000, "1/" + "9" * 4000]
)
def test_a_number_of_a_billion_digits_is_compared_as_words(huge: str) -> None:
    assert same_answer(huge, huge.upper())
    assert not same_answer(huge, "1")


def test_large_numbers_of_honest_length_are_numbers() -> None:
    assert same_answer("1e400", "10" + "0" * 399)
    assert same_answer("-2.5e-3", "-0.0025")
    assert same_answer("1" + "0" * 900, "1e900")
