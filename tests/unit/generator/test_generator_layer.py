from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from limoflow.errors import ChatRequestError, DependencyUnavailable, LimoflowError
from limoflow.inference.fakes import FakeChat
from schemas.run import Run, RunSpec
from schemas.sample import Sample
from services.generator.app import chat_client, layer
from services.generator.novelty import most_alike, rouge_l
from services.generator.self_instruct import read_task, task_fault
from services.generator.strategies import unknown_strategies

PARENT = Sample.model_validate(
    {
        "id": "p", "instruction": "Tom has 48 pens and sells 31. How many are left?",
        "response": "48-31=<<48-31=17>>17 pens are left.\n#### 17",
        "metadata": {
            "domain": "mathematics", "licence": "MIT", "colour": "red", "reference": {"answer": "17"},
            "verification": {"verified": True, "method": "x"},
            "lineage": {"run_id": "r", "window": 2, "source_ref": "a#1", "versions": {"ingestor": "1"}},
        },
    }
)  # fmt: skip
TASK = json.dumps({"instruction": "Name three rivers that cross several countries.", "response": "Rhine, Nile, Po."})


def make_run(*strategies: dict[str, Any], **generate: Any) -> Run:
    spec = {"name": "r", "sources": [{"path": "x"}], "generate": {"strategies": list(strategies), **generate}}
    return Run.model_validate({"run_id": "r", "spec": spec})


async def test_an_original_passes_unchanged_and_its_child_has_its_own_id_answer_and_parent() -> None:
    original, child = (await layer().process(PARENT, make_run({"kind": "numeric_variation"}))).passed
    assert original is PARENT
    assert child.id != PARENT.id
    assert child.lineage.parent == "p"
    assert (child.lineage.run_id, child.lineage.window) == ("r", 2)
    assert child.metadata.reference is not None
    assert child.metadata.reference.answer == child.response.rpartition(" ")[2] != "17"
    assert child.metadata.verification is None, "what was found out of the parent is not true of the child"
    kept = json.loads(child.to_bytes())["metadata"]
    assert (kept["domain"], kept["licence"], kept["colour"]) == ("mathematics", "MIT", "red")
    assert Sample.model_validate_json(child.to_bytes()) == child


async def test_redelivery_gives_the_same_children_and_several_differ() -> None:
    run = make_run({"kind": "numeric_variation", "per_sample": 4})
    first = (await layer().process(PARENT, run)).passed
    second = (await layer().process(PARENT, run)).passed
    assert [one.to_bytes() for one in first] == [one.to_bytes() for one in second]
    assert len({one.id for one in first}) == len(first) == len({one.instruction for one in first}) > 2


async def test_originals_that_are_not_kept_are_refused_and_children_are_not_varied_again() -> None:
    run = make_run({"kind": "numeric_variation"}, keep_originals=False)
    result = await layer().process(PARENT, run)
    (child,) = result.passed
    (refused,) = result.rejected
    assert (refused.sample.id, refused.reason) == ("p", "original_not_kept")
    again = await layer().process(child, run)
    assert again.passed == (child,)
    assert not again.rejected


async def test_a_share_of_the_originals_is_drawn_by_their_ids() -> None:
    run = make_run({"kind": "numeric_variation", "share": 0.3})
    generator, varied = layer(), 0
    for number in range(300):
        one = PARENT.model_copy(update={"id": f"p{number}"})
        varied += len((await generator.process(one, run)).passed) - 1
    assert 60 < varied < 120


async def test_what_cannot_be_varied_passes_and_is_counted() -> None:
    seen: list[tuple[str, str]] = []
    generator = layer(on_refusal=lambda strategy, reason: seen.append((strategy, reason)))
    plain = PARENT.model_copy(update={"response": "Many."})
    result = await generator.process(plain, make_run({"kind": "numeric_variation"}, {"kind": "magic"}))
    assert result.passed == (plain,)
    assert seen == [("numeric_variation", "no_steps"), ("magic", "unknown_strategy")]
    assert generator.refusals[("numeric_variation", "no_steps")] == 1


CHAT = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}
SELF = {"kind": "self_instruct"}


async def asked(answer: str | LimoflowError, **chat: Any) -> tuple[tuple[Sample, ...], Any, FakeChat]:
    fake = FakeChat(lambda messages: answer)
    generator = layer(chat=lambda endpoint: fake)
    result = await generator.process(PARENT, make_run(SELF, chat={**CHAT, **chat}))
    await generator.close()
    return result.passed, generator.refusals, fake


async def test_a_new_task_becomes_a_child_with_prompt_and_model_in_its_lineage() -> None:
    (_, child), _, fake = await asked(f"```json\n{TASK}\n```")
    assert child.instruction.startswith("Name three rivers")
    assert child.lineage.versions == {"ingestor": "1", "prompt": "self_instruct/1", "chat_model": "m"}
    assert child.metadata.reference is None, "nobody knows that the answer is true"
    (messages,) = fake.seen
    assert PARENT.instruction in messages[-1].content
    assert PARENT.response not in messages[-1].content


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("I cannot do that.", "unreadable_answer"),
        ("", "unreadable_answer"),
        ('{"instruction": 5, "response": "x"}', "unreadable_answer"),
        ("[" * 100_000, "unreadable_answer"),
        (json.dumps({"instruction": PARENT.instruction, "response": "x"}), "not_novel"),
        (json.dumps({"instruction": "Draw a picture of a house", "response": "x"}), "needs_more_than_text"),
        (ChatRequestError("401"), "chat_refused"),
    ],
)
async def test_no_child_is_made_of_a_bad_answer_and_it_is_counted(answer: str | LimoflowError, why: str) -> None:
    passed, refusals, _ = await asked(answer)
    assert passed == (PARENT,)
    assert refusals[("self_instruct", why)] == 1


async def test_an_outage_is_not_swallowed() -> None:
    with pytest.raises(DependencyUnavailable):
        await asked(DependencyUnavailable("down"))


async def test_without_an_endpoint_nothing_is_asked() -> None:
    generator = layer()
    result = await generator.process(PARENT, make_run(SELF))
    assert len(result.passed) == 1
    assert generator.refusals[("self_instruct", "no_chat_endpoint")] == 1


async def test_several_children_are_asked_for_in_different_words() -> None:
    fake = FakeChat(lambda messages: TASK)
    generator = layer(chat=lambda endpoint: fake)
    await generator.process(PARENT, make_run({**SELF, "per_sample": 6}, chat=CHAT))
    assert len(set(fake.seen)) > 1
    assert generator.refusals[("self_instruct", "repeat")] == 5


def test_the_client_has_the_settings_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "secret")
    run = make_run(SELF, chat={**CHAT, "api_key_env": "A_KEY", "max_tokens": 7})
    assert run.spec.generate.chat is not None
    assert chat_client(run.spec.generate.chat).usage.requests == 0


def test_an_unknown_strategy_is_named() -> None:
    spec = make_run({"kind": "magic"}, SELF).spec
    assert isinstance(spec, RunSpec)
    assert unknown_strategies(spec) == ["magic"]


def test_novelty_counts_words_and_chinese_characters() -> None:
    assert rouge_l("the cat sat", "the cat sat") == 1
    assert rouge_l("the cat sat", "the dog sat") == pytest.approx(2 / 3)
    assert rouge_l("今天天气很好", "今天天气很坏") == pytest.approx(5 / 6)
    assert rouge_l("", "") == 0
    assert most_alike("a b", ["c", "a b c d"]) == pytest.approx(4 / 6)


def test_chinese_tasks_are_judged_by_characters() -> None:
    assert task_fault("请用三句话说明月亮为什么会变形。", "因为……", []) is None
    assert task_fault("请画一幅图说明月亮。", "x", []) == "needs_more_than_text"
    assert task_fault("请用三句话说明月亮为什么会变形。", "x", ["请用四句话说明月亮为什么会变形。"]) == "not_novel"
    assert read_task('{"instruction": " a ", "response": "b"}') == ("a", "b")


async def test_the_event_loop_turns_between_the_children_of_one_original() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await layer().process(PARENT, make_run({"kind": "numeric_variation", "per_sample": 30}))
    counting.cancel()
    assert turns > 20
