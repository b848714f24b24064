"""Which tokens of an instruction and its answer the two passes of IFD read, and which of them they score.

Our own rule scores the same answer tokens in both passes; two more follow the published code of Cherry_LLM (01fac8d)
and of Superfiltering (f0764af). The authors' rules find the boundary of the answer by
tokenising the text before it on its own, so a token that spans the boundary is scored differently; they are kept as
they are, for numbers that can be held against theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from limoflow.errors import UsageError
from models.prompts import CHERRY_MARKERS, TEMPLATES, plain_prompt

CHAT = "chat"
CHERRY_LENGTH = 512
SUPERFILTERING_LENGTH = 1024
CHARACTERS_PER_TOKEN = 32


@dataclass(frozen=True, slots=True)
class Layout:
    """A template and a rule, written `TEMPLATE` or `TEMPLATE:PARITY`.

    Attributes
    ----------
    template : str
        `alpaca`, `wizard`, `vicuna`, `plain`, or `chat` (the tokenizer's own template).
    parity : str
        `none`, `cherry` or `superfiltering`.
    """

    template: str
    parity: str = "none"

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Read a layout.

        Raises
        ------
        UsageError
            When there is no such template or rule, or the rule does not know the template.
        """
        template, _, parity = text.partition(":")
        made = cls(template, parity or "none")
        allowed = {"none": {*TEMPLATES, CHAT}, "cherry": set(CHERRY_MARKERS), "superfiltering": {"plain"}}
        if template not in allowed.get(made.parity, ()):
            known = ", ".join(f"{rule} ({', '.join(sorted(names))})" for rule, names in allowed.items())
            raise UsageError(f"layout {text!r}: no such template and parity; known: {known}")
        return made


@dataclass(frozen=True, slots=True)
class Pass:
    """The input of one pass; the tokens from `start` on are scored."""

    ids: list[int]
    start: int

    @property
    def scored(self) -> int:
        """How many tokens are scored."""
        return max(0, len(self.ids) - self.start)


@dataclass(frozen=True, slots=True)
class Passes:
    """Both passes of one pair.

    Attributes
    ----------
    conditioned, direct : Pass
        With and without the instruction.
    truncated : bool
        Whether the prompt or the answer was cut.
    reason : str
        Why nothing is scored; empty where something is.
    """

    conditioned: Pass
    direct: Pass
    truncated: bool
    reason: str = ""


def fit_passes(bos: int, prompt: list[int], answer: list[int], context: int) -> Passes:
    """Lay out both passes within `context` tokens, with the same answer tokens in both.

    The prompt may always keep half of the context; an answer that is longer than what is left loses its end, then a
    prompt that is longer than what is left loses its beginning (its end holds the question and the answer's marker).

    Parameters
    ----------
    bos : int
        Id of the token that begins both passes.
    prompt, answer : list of int
        Token ids.
    context : int
        Most tokens of one pass, at least 4.
    """
    if not answer:
        return _nothing("the response has no tokens")
    room = context - 1
    kept_answer = answer[: room - min(len(prompt), room // 2)]
    kept_prompt = prompt[max(0, len(prompt) - (room - len(kept_answer))) :]
    cut = len(kept_answer) < len(answer) or len(kept_prompt) < len(prompt)
    conditioned = Pass([bos, *kept_prompt, *kept_answer], 1 + len(kept_prompt))
    return Passes(conditioned, Pass([bos, *kept_answer], 1), cut)


class PassMaker:
    """Lays out pairs for one tokenizer.

    Parameters
    ----------
    tokenizer
        Of transformers.
    bos : int
        The token that begins a pass of our own rule.
    context : int
        Most tokens of one pass, at least 4.
    """

    def __init__(self, tokenizer: Any, bos: int, context: int) -> None:
        self._tokenizer = tokenizer
        self._bos = bos
        self._context = context

    def passes(self, pairs: Sequence[tuple[str, str]], layout: Layout) -> list[Passes]:
        """Return the passes of (instruction, response) pairs, in their order."""
        if not pairs:
            return []
        rules = {"none": self._own, "cherry": self._cherry, "superfiltering": self._superfiltering}
        return rules[layout.parity](pairs, layout.template)

    def _own(self, pairs: Sequence[tuple[str, str]], template: str) -> list[Passes]:
        limit = self._context * CHARACTERS_PER_TOKEN
        prompts = self._encode([self._prompt(instruction[-limit:], template) for instruction, _ in pairs])
        answers = self._encode([response[:limit] for _, response in pairs])
        result = []
        for (instruction, response), prompt, answer in zip(pairs, prompts, answers, strict=True):
            # A chat template may write the first token itself.
            fitted = fit_passes(self._bos, prompt[prompt[:1] == [self._bos] :], answer, self._context)
            cut = fitted.truncated or (not fitted.reason and max(len(instruction), len(response)) > limit)
            result.append(replace(fitted, truncated=cut))
        return result

    def _cherry(self, pairs: Sequence[tuple[str, str]], template: str) -> list[Passes]:
        marker, allowance = CHERRY_MARKERS[template]
        length = min(CHERRY_LENGTH, self._context)
        result = []
        for instruction, response in pairs:
            prompt = TEMPLATES[template](instruction)
            asked = len(self._with_specials(prompt, length))
            if asked >= length:
                result.append(_nothing(f"the instruction fills the {length} tokens of the rule"))
                continue
            direct = self._answer_pass(marker + response, response, length - asked + allowance)
            conditioned = self._answer_pass(prompt + response, response, length)
            result.append(_checked(conditioned, direct, asked, length))
        return result

    def _superfiltering(self, pairs: Sequence[tuple[str, str]], template: str) -> list[Passes]:  # noqa: ARG002
        length = min(SUPERFILTERING_LENGTH, self._context)
        result = []
        for instruction, response in pairs:
            prompt = plain_prompt(instruction)
            asked = len(self._with_specials(prompt, length))
            conditioned = self._answer_pass(prompt + response, response, length)
            # Every token but the first is scored, be it a BOS or, as with GPT-2, the first of the answer.
            direct = Pass(self._with_specials(response, max(0, length - asked + 1)), 1)
            result.append(_checked(conditioned, direct, 0, length))
        return result

    def _answer_pass(self, text: str, answer: str, length: int) -> Pass:
        before = text[: text.rfind(answer)]
        return Pass(self._with_specials(text, length), max(1, len(self._with_specials(before))))

    def _prompt(self, instruction: str, template: str) -> str:
        if template != CHAT:
            return TEMPLATES[template](instruction)
        if not getattr(self._tokenizer, "chat_template", None):
            raise UsageError("template chat: the model's tokenizer has no chat template; name another template")
        turns = [{"role": "user", "content": instruction}]
        return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def _encode(self, texts: list[str]) -> list[list[int]]:
        encoded = self._tokenizer(texts, add_special_tokens=False, padding=False, truncation=False, verbose=False)
        return [list(ids) for ids in encoded["input_ids"]]

    def _with_specials(self, text: str, length: int | None = None) -> list[int]:
        encoded = self._tokenizer(text, padding=False, truncation=False, verbose=False)
        return list(encoded["input_ids"])[:length]


def _checked(conditioned: Pass, direct: Pass, asked: int, length: int) -> Passes:
    """Apply the authors' rules of what is skipped."""
    if conditioned.scored == 0 or direct.scored == 0:
        return _nothing("the response has no tokens within the rule's length")
    if asked + direct.scored > length:
        return _nothing(f"instruction and answer exceed the {length} tokens of the rule")
    return Passes(conditioned, direct, len(conditioned.ids) == length)


def _nothing(reason: str) -> Passes:
    return Passes(Pass([], 0), Pass([], 0), truncated=False, reason=reason)
