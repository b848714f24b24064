"""Self-Instruct against a chat endpoint: an original is the seed of a new instruction with its answer.

Source: Wang et al. 2023, "Self-Instruct"; filters of its published code (0b26cca), made fit for Chinese.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence

from limoflow.errors import ChatRequestError
from limoflow.inference.chat_types import Chat, ChatMessage
from limoflow.inference.fences import unfenced
from schemas.run import Chat as Endpoint
from schemas.run import Run
from schemas.sample import Sample
from services.generator.novelty import most_alike
from services.generator.strategies import Draft, Refusal

PROMPT_VERSION = "self_instruct/1"
MAX_ROUGE_L = 0.7
_SHORTEST, _LONGEST = 4, 150
_CJK = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff]")
_NEEDS_MORE_THAN_TEXT = re.compile(
    r"\b(?:images?|graphs?|pictures?|files?|maps?|draw|plot|go to|video|audio|music|flowchart|diagram)\b"
    r"|图片|图像|音频|视频|画一|绘制|附件",
    re.IGNORECASE,
)
_SYSTEM = (
    "You write training tasks for a language model. A task is one self-contained instruction and its complete, correct "
    "answer. Answer with one JSON object that has the keys instruction and response, and with nothing else."
)
_EXAMPLES = (
    (
        "Explain to a ten-year-old why the moon seems to change its shape.",
        "The moon is a ball that the sun lights from one side. As it travels around us, we see more or less of the "
        "bright side, so it looks like a full disc, a half or a thin sickle.",
    ),
    (
        "一家面包店每小时烤 36 个面包，工作 5 小时后卖出 150 个，还剩多少个？",
        "5 小时共烤 36 × 5 = 180 个面包。卖出 150 个后剩下 180 - 150 = 30 个。答案是 30。",
    ),
    (
        "Turn this sentence into the passive voice: The gardener waters the roses every morning.",
        "The roses are watered by the gardener every morning.",
    ),
)


class SelfInstruct:
    """Asks for a new task like the original, and keeps it only if it reads well and is new.

    Parameters
    ----------
    chat : callable
        Makes the client of an endpoint.
    """

    version = "1"

    def __init__(self, chat: Callable[[Endpoint], Chat] | None = None) -> None:
        self._chat = chat
        self._clients: dict[str, Chat] = {}

    async def make(self, parent: Sample, child_id: str, run: Run) -> Draft | Refusal:
        """Return a new task, or why there is none.

        Raises
        ------
        DependencyUnavailable
            When the endpoint is out: the sample waits.
        """
        endpoint = run.spec.generate.chat
        if endpoint is None or self._chat is None:
            return Refusal("no_chat_endpoint")
        key = endpoint.model_dump_json()
        if key not in self._clients:
            self._clients[key] = self._chat(endpoint)
        try:
            answer = await self._clients[key].complete(_messages(parent, child_id))
        except ChatRequestError:
            return Refusal("chat_refused")
        if answer.finish_reason == "length":
            return Refusal("answer_cut_off")
        task = read_task(answer.text)
        if task is None:
            return Refusal("unreadable_answer")
        instruction, response = task
        fault = task_fault(instruction, response, [parent.instruction, *(example for example, _ in _EXAMPLES)])
        if fault is not None:
            return Refusal(fault)
        return Draft(instruction, response, None, {"prompt": PROMPT_VERSION, "chat_model": endpoint.model})

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()


def _messages(parent: Sample, child_id: str) -> list[ChatMessage]:
    messages = [ChatMessage("system", _SYSTEM)]
    # Another order for every child, so that several children of one original are not asked for in the same words.
    for instruction, response in random.Random(child_id).sample(_EXAMPLES, len(_EXAMPLES)):  # noqa: S311
        task = json.dumps({"instruction": instruction, "response": response}, ensure_ascii=False)
        messages += [ChatMessage("user", "Write a task."), ChatMessage("assistant", task)]
    asked = (
        "Write one new task of the same domain, language and difficulty as this one. Ask for something else, in other "
        f"words.\n\n<task>\n{parent.instruction}\n</task>"
    )
    return [*messages, ChatMessage("user", asked)]


def read_task(answer: str) -> tuple[str, str] | None:
    """Return (instruction, response) from an answer that should be a JSON object, or None where it is not readable."""
    try:
        task = json.loads(unfenced(answer).strip())
    except (ValueError, RecursionError):
        return None
    if not isinstance(task, dict):
        return None
    instruction, response = task.get("instruction"), task.get("response")
    if not isinstance(instruction, str) or not isinstance(response, str):
        return None
    return instruction.strip(), response.strip()


def task_fault(instruction: str, response: str, seeds: Sequence[str]) -> str | None:
    """Return which filter a task fails, or None: length, what text cannot do, copying, and novelty (ROUGE-L > 0.7)."""
    length = len(_CJK.findall(instruction)) / 2 + len(_CJK.sub(" ", instruction).split())
    first = instruction[:1]
    faults = {
        "empty": not instruction or not response,
        "length": not _SHORTEST <= length <= _LONGEST,
        "needs_more_than_text": _NEEDS_MORE_THAN_TEXT.search(instruction) is not None,
        "odd_beginning": not first.isalnum() and first not in "\"'“《「(（$\\",
        "unfinished": response == instruction or response.endswith((":", "：")),
        "not_novel": most_alike(instruction, seeds) > MAX_ROUGE_L,
    }
    return next((name for name, found in faults.items() if found), None)
