from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import pytest

from limoflow.errors import DependencyUnavailable, LimoflowError
from limoflow.inference.chat_types import ChatMessage
from limoflow.inference.fakes import FakeChat
from schemas.run import Run
from schemas.sample import Metadata, Sample
from services.verifier.checks import Finding
from services.verifier.math_question import STAGES, MathQuestion
from services.verifier.question_rules import question_fault
from services.verifier.votes import majority, read_vote


@pytest.mark.parametrize(
    ("question", "fault"),
    [
        ("Tom has 3 pens and buys 4 more. How many has he?", None),
        ("Solve $x^2 = 4$.", None),
        ("It costs $5 and she pays with $20. How much change is there?", None),
        ("小明有3个苹果,又买了4个,一共有多少个?", None),
        ("Find $\\\\left(\\\\frac{1}{2}\\\\right)^2$.", None),
        ("Rewrite the following question: what is 2+2?", "contaminated_instruction"),
        ("What is 2+2? The answer is 4.", "contaminated_instruction"),
        ("What is 2+2? #### 4", "contaminated_instruction"),
        ("请改写以下题目:1+1等于几?", "contaminated_instruction"),
        ("已知x+1=2,求x。答案:1", "contaminated_instruction"),
        ("If the answer is 4, find x.", None),
        ("Find x such that $x^2=4.", "broken_latex"),
        ("A pen is 5$ and a book costs $7. What is x = the sum?", None),
        ("Find $\\\\frac{1}{2$.", "broken_latex"),
        ("Find \\\\left( x \\\\right) and \\\\left[ y.", "broken_latex"),
        ("Find \\\\begin{matrix} 1.", "broken_latex"),
        ("Find \\\\( x.", "broken_latex"),
        ("Tom has 3 pens and buys 4 more.", "missing_goal"),
        ("小明有3个苹果,又买了4个。", "missing_goal"),
        ("", "missing_goal"),
    ],
)
def test_rules_find_what_is_wrong_on_the_face_of_it(question: str, fault: str | None) -> None:
    found = question_fault(question.replace("\\\\", "\\"))
    assert (found and found[0]) == fault


@pytest.mark.parametrize(
    ("text", "vote"),
    [
        ('{"valid": true, "reason": "fine"}', True),
        ('```json\n{"valid": false}\n```', False),
        ("true", None),
        ("It is true that this is valid.", None),
        ('{"valid": "true"}', None),
        ('{"valid": 1}', None),
        ('{"valid": true} {"valid": false}', None),
        ('{"valid": false, "valid": true}', None),
        ("[" * 100_000, None),
        ("", None),
    ],
)
def test_only_one_json_object_is_a_vote(text: str, vote: bool | None) -> None:
    found = read_vote(text)
    assert (found and found[0]) is vote


def test_unreadable_votes_count_against_a_majority() -> None:
    assert majority([True, True, None]) == "pass"
    assert majority([True, None]) == "unknown"
    assert majority([True, False]) == "unknown"
    assert majority([False, False, True]) == "fail"
    assert majority([]) == "unknown"


async def asked(answers: dict[str, Any], **options: Any) -> tuple[Finding, list[FakeChat]]:
    chats: list[FakeChat] = []

    def client(endpoint: Any) -> FakeChat:
        def answer(messages: Sequence[ChatMessage]) -> str | LimoflowError:
            said = answers[endpoint.model]
            return said(messages[-1].content) if callable(said) else said

        chats.append(FakeChat(answer))
        return chats[-1]

    chat = {"base_url": "http://x", "model": "a"}
    verify = {"chat": chat, "checks": {"math_question": options}}
    run = Run.model_validate({"run_id": "r", "spec": {"name": "r", "sources": [{"path": "x"}], "verify": verify}})
    check = MathQuestion(client)
    chosen = check.options_of(run)
    assert chosen is not None
    one = Sample(id="s", instruction="What is 2+2?", response="4", metadata=Metadata(domain="mathematics"))
    finding = check.check(one, chosen)
    return (await finding if inspect.isawaitable(finding) else finding), chats


YES, NO = '{"valid": true}', '{"valid": false, "reason": "two of them clash"}'


async def test_all_five_stages_are_asked_and_all_must_hold() -> None:
    finding, (chat,) = await asked({"a": YES})
    assert finding.verdict == "pass"
    assert len(chat.seen) == len(STAGES) == 5


async def test_the_first_stage_that_fails_ends_it_with_its_reason() -> None:
    finding, (chat,) = await asked({"a": lambda text: NO if "contradict" in text else YES})
    assert (finding.verdict, finding.reason, finding.evidence) == ("fail", "contradiction", "two of them clash")
    assert len(chat.seen) == 4


async def test_several_models_vote() -> None:
    models = {"a": YES, "b": YES, "c": NO}
    assert (await asked(models, models=["a", "b", "c"]))[0].verdict == "pass"
    assert (await asked({**models, "b": "true!"}, models=["a", "b", "c"]))[0].verdict == "unknown"


async def test_an_outage_is_passed_on_and_no_models_means_rules_only() -> None:
    with pytest.raises(DependencyUnavailable):
        await asked({"a": DependencyUnavailable("out")})
    finding, chats = await asked({}, models=[])
    assert (finding.verdict, chats) == ("pass", [])


async def test_several_samples_of_one_model_vote() -> None:
    said = iter([YES, NO, YES] * 3 + [NO, "perhaps true", NO])
    finding, (chat,) = await asked({"a": lambda _text: next(said)}, samples=3)
    assert (finding.verdict, finding.reason) == ("fail", "contradiction")
    assert len(chat.seen) == 12
