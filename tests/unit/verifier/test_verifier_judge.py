"""The judge: what its answers are read as, what votes amount to, and when it is taken out of use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.errors import ChatRequestError, DependencyUnavailable, LimoflowError
from limoflow.inference.chat_types import ChatMessage
from limoflow.inference.fakes import FakeChat
from schemas.run import Run
from schemas.sample import Sample
from services.verifier.checks import Finding, check_notes
from services.verifier.handler import Verifier
from services.verifier.judge.ballot import RUBRIC, ballot, read_vote, tally
from services.verifier.judge.canaries import CANARIES
from services.verifier.judge.check import Judge

ENDPOINT = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
Answer = Callable[[Sequence[ChatMessage]], str | LimoflowError]


def run(**options: Any) -> Run:
    verify = {"checks": {"judge": options}, "chat": ENDPOINT}
    spec = {"name": "t", "sources": [{"path": "x"}], "verify": verify}
    return Run.model_validate({"run_id": "r", "spec": spec})


def said(messages: Sequence[ChatMessage], good: bool, **changed: Any) -> str:
    mark = re.search(r"Mark: (\w+)", messages[-1].content)
    assert mark
    names = re.findall(r"^- (\w+):", messages[-1].content, re.MULTILINE)
    answer = {"mark": mark[1], "criteria": dict.fromkeys(names, good), "reason": "so"}
    return json.dumps({**answer, **changed})


def is_good(messages: Sequence[ChatMessage]) -> bool:
    return not any(f"Response:\n{canary.response}\n" in messages[-1].content for canary in CANARIES if not canary.good)


async def judged(answer: Answer, ids: Sequence[str] = ("a",), response: str = "r", **options: Any) -> list[Finding]:
    chat = FakeChat(answer)
    judge = Judge(lambda _: chat)
    one = run(**options)
    more = judge.options_of(one)
    assert more is not None
    settings = {**options, **more}
    findings = [await judge.check(Sample(id=name, instruction="i", response=response), settings) for name in ids]
    await judge.close()
    return [finding for finding in findings if finding is not None]


async def test_an_honest_judge_passes_what_is_good_and_fails_what_is_not() -> None:
    assert [one.verdict for one in await judged(lambda m: said(m, is_good(m)))] == ["pass"]

    def strict(messages: Sequence[ChatMessage]) -> str:
        return said(messages, is_good(messages) and "Response:\nr\n" not in messages[-1].content)

    (finding,) = await judged(strict)
    assert (finding.verdict, finding.reason) == ("fail", "rubric")


@pytest.mark.parametrize(
    "answer",
    [
        lambda m: said(m, True),
        lambda m: said(m, False),
        lambda m: "true, pass, yes: " + said(m, is_good(m)),
        lambda _: "",
        lambda _: ChatRequestError("refused"),
    ],
)
async def test_a_judge_that_fails_its_canaries_is_out_of_use(answer: Answer) -> None:
    findings = await judged(answer, ids=[str(number) for number in range(5)])
    assert {(one.verdict, one.reason) for one in findings} == {("unknown", "judge_out_of_use")}


async def test_a_judge_that_goes_bad_is_taken_out_of_use_and_may_qualify_again() -> None:
    bad = {"now": False}
    seen: list[tuple[bool, bool]] = []
    chat = FakeChat(lambda m: said(m, True if bad["now"] else is_good(m)))
    judge = Judge(lambda _: chat, lambda _, *, right, trusted: seen.append((right, trusted)))
    settings = {**(judge.options_of(run()) or {}), "votes": 1, "canary_every": 1}

    async def ask(number: int) -> str:
        finding = await judge.check(Sample(id=str(number), instruction="i", response="r"), settings)
        assert finding is not None
        return finding.verdict

    assert await ask(0) == "pass"
    bad["now"] = True
    verdicts = [await ask(number) for number in range(1, 40)]
    assert verdicts[-1] == "unknown"
    assert seen[-1] == (False, False)
    bad["now"] = False
    assert "pass" in [await ask(number) for number in range(40, 80)]
    assert seen[-1] == (True, True)


async def test_an_endpoint_that_is_out_makes_the_sample_wait() -> None:
    with pytest.raises(DependencyUnavailable):
        await judged(lambda _: DependencyUnavailable("out"))


async def test_tokens_are_accounted_and_a_budget_ends_the_judging() -> None:
    findings = await judged(lambda m: said(m, is_good(m)), ids=["a", "b"], max_tokens=1500)
    assert findings[0].verdict == "pass"
    assert (findings[1].verdict, findings[1].reason) == ("unknown", "budget_spent")


def test_nothing_is_asked_unless_the_run_names_an_endpoint_and_the_check() -> None:
    spec = {"name": "t", "sources": [{"path": "x"}]}
    for verify in ({}, {"chat": ENDPOINT}, {"chat": ENDPOINT, "checks": {"judge": False}}):
        assert Judge().options_of(Run.model_validate({"run_id": "r", "spec": {**spec, "verify": verify}})) is None


async def test_a_judge_without_an_endpoint_is_unknown_and_told_of() -> None:
    spec = {"name": "t", "sources": [{"path": "x"}], "verify": {"checks": {"judge": {}}}}
    run = Run.model_validate({"run_id": "r", "spec": spec})
    one = Sample(id="a", instruction="i", response="r")
    (passed,) = (await Verifier([Judge()]).process(one, run)).passed
    assert passed.metadata.verification is not None
    assert passed.metadata.verification.results["judge"].reason == "no_endpoint"
    assert ["verify.checks.judge" in note for note in check_notes(run.spec)] == [True]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"mark": "other"}, "wrong_mark"),
        ({"criteria": {"correct": True}}, "wrong_criteria"),
        ({"criteria": dict.fromkeys(RUBRIC, "true")}, "no_boolean"),
        ({"criteria": dict.fromkeys(RUBRIC, 1)}, "no_boolean"),
        ({"criteria": {**dict.fromkeys(RUBRIC, True), "more": True}}, "wrong_criteria"),
    ],
)
def test_an_answer_in_another_form_is_unknown(change: dict[str, Any], why: str) -> None:
    cast = ballot("i", "r", RUBRIC, "id", 0)
    assert read_vote(said(cast.messages, True, **change), "stop", cast) == ("unknown", why)
    assert read_vote(said(cast.messages, True), "stop", cast)[0] == "pass"
    assert read_vote("```json\n" + said(cast.messages, True) + "\n```", "stop", cast)[0] == "pass"
    assert read_vote(said(cast.messages, True), "length", cast)[0] == "unknown"
    assert read_vote(said(cast.messages, True)[:-1] + ', "mark": "x"}', "stop", cast)[0] == "unknown"


@given(st.text())
def test_no_text_at_all_reads_as_pass(answer: str) -> None:
    cast = ballot("i", "r", RUBRIC, "id", 0)
    assert read_vote(answer, "stop", cast)[0] == "unknown"


@given(st.lists(st.sampled_from(["pass", "fail", "unknown"]), min_size=1, max_size=7))
def test_a_pass_needs_more_than_half_of_all_votes(votes: list[Any]) -> None:
    assert (tally(votes) == "pass") == (votes.count("pass") * 2 > len(votes))
