"""What reads texts takes time that grows with their length, not with its square: one answer must hold up no service."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from limoflow.inference.fences import unfenced
from limoflow.worked.arithmetic import ExpressionError
from limoflow.worked.latex import plain
from limoflow.worked.steps import notes, plain_steps
from schemas.run import Run
from schemas.sample import Sample
from services.generator.bindings import spelled_numbers
from services.generator.novelty import most_alike
from services.generator.numeric_variation import NumericVariation
from services.generator.self_instruct import read_task, task_fault
from services.generator.wording import implied_numbers
from services.generator.worked import stated_results, understand
from services.scorer.complexity import complexity
from services.scorer.depth import chain, depth
from services.scorer.lexical import detail, mtld
from services.scorer.pass_rate import final_answer, same_answer
from services.scorer.quality import quality
from services.scorer.safety import safety
from services.scorer.wording import sentences, tokens
from services.verifier import answers
from services.verifier.code.answer import code_of
from services.verifier.code.languages import LANGUAGES, as_named
from services.verifier.code.source import program_of, prompt_of
from services.verifier.code.stdio import cases_of, same_output
from services.verifier.code_static import CodeStatic, python_blocks
from services.verifier.groundedness import Groundedness
from services.verifier.injection import injection
from services.verifier.judge.ballot import RUBRIC, ballot
from services.verifier.judge.ballot import read_vote as read_ballot
from services.verifier.language import InLanguage
from services.verifier.math_steps import MathSteps
from services.verifier.mismatch import Mismatch
from services.verifier.privacy import Privacy
from services.verifier.question_rules import question_fault
from services.verifier.sql.compare import is_ordered
from services.verifier.sql_result import query_of
from services.verifier.sql_static import SqlStatic
from services.verifier.text_format import TextFormat
from services.verifier.texts.grams import tokens as grams_of
from services.verifier.texts.languages import language_of
from services.verifier.votes import read_vote

SHORT, LONG = 4_000, 40_000
MOST_TIMES = 30
# Less than this is noise, and holds up nobody.
FLOOR = 0.15
RUN = Run.model_validate({"run_id": "r", "spec": {"name": "r", "sources": [{"path": "x"}]}})
QUESTION = "Mia packs 36 pears a day into bags of 4. She works 15 days. How many bags?"
STEPS = "She fills 36/4 = <<36/4=9>>9 bags.\nThat makes 9*15 = <<9*15=135>>135.\n"
CAST = ballot("q", "a", RUBRIC, "x", 0)
UNITS = (
    *"aA1 \n\t=()[]{}<\"'$\\`~_-.,/*#:@%第一中。é",
    *(
        "\u200b",
        "\u00ad.",
        "\r\n",
        " \n",
        "\n ",
        "a ",
        "1 ",
        "1\u3000",
        "1,",
        "1.",
        "1=",
        "= ",
        "1/",
        "1:",
        "A.",
        "A b ",
    ),
    *(
        "- ",
        "\n- ",
        "\n1. ",
        "\n1.",
        "<<",
        ">>",
        "<<1=",
        "<<1+0=1>>",
        "#### ",
        "####\n",
        "```\n",
        "```a",
        "``` ",
        "~~~\n",
    ),
    *("$1 ", "$a", "\\a", "\\frac ", "\\left", "\\boxed{", "<answer>", "答案是", "the answer is ", "step ", "百分之"),
    *("/*", "/**/", "--\n", "''", "'a", "class a", "class a{", "{\n", "\nend", "\ndef a(", "from a import *\n"),
    *("ignore ", "give this ", "because ", "a@b.cd ", "a1@b.cd, ", "eyJ-", "[EMAIL_1]", "5 thousand 5*3=15,000 "),
)
HEADS = (
    *("", "answer is", "####", "=", "1=1", "<<1+0=1>>1", "```", "```\n", "<answer>", "\\frac", "class ", "答案：\n"),
    *("1. a\n", "$"),
)
TAIL = "x/$"


def sample_of(instruction: str, response: str, **reference: Any) -> Sample:
    metadata: dict[str, Any] = (
        {"domain": "mathematics", "reference": reference} if reference else {"domain": "mathematics"}
    )
    return Sample.model_validate({"id": "p", "instruction": instruction, "response": response, "metadata": metadata})


def checked(check: Any, **options: Any) -> Callable[[str], object]:
    return lambda text: (check.check(sample_of(text, "5"), options), check.check(sample_of(QUESTION, text), options))


def tolerant(read: Callable[[str], object]) -> Callable[[str], object]:
    def tolerating(text: str) -> None:
        with suppress(ExpressionError):
            read(text)

    return tolerating


def varied(text: str) -> None:
    make = NumericVariation().make
    make(sample_of(QUESTION, STEPS + text + "\n#### 135"), "seed", RUN)
    make(sample_of(QUESTION + text, STEPS + "#### 135"), "seed", RUN)


def understood(text: str) -> None:
    for question, answer in ((QUESTION, STEPS + text + "\n#### 135"), (QUESTION + text, STEPS + "#### 135")):
        with suppress(ValueError):
            understand(question, answer)
    with suppress(ValueError):
        stated_results(text)


READERS: dict[str, Callable[[str], object]] = {
    "complexity": complexity,
    "depth": depth,
    "chain": chain,
    "lexical": lambda text: (mtld(tokens(text)), detail(text)),
    "quality": quality,
    "safety": safety,
    "sentences": sentences,
    "pass_rate": lambda text: (final_answer(text), same_answer(text, "5"), same_answer(final_answer(text), text)),
    "unfenced": unfenced,
    "read_task": read_task,
    "task_fault": lambda text: (task_fault(text, "a", [QUESTION]), most_alike(text, [QUESTION])),
    "numeric_variation": varied,
    "understand": understood,
    "words_of_numbers": lambda text: (spelled_numbers(text), implied_numbers(text)),
    "steps": lambda text: (list(notes(text)), list(plain_steps(plain(text)))),
    "text_format": checked(TextFormat()),
    "privacy": checked(Privacy()),
    "privacy_masked": checked(Privacy(), action="mask"),
    "injection": injection,
    "language": checked(InLanguage()),
    "language_of": language_of,
    "mismatch": checked(Mismatch()),
    "groundedness": checked(Groundedness(), context="instruction"),
    "math_steps": tolerant(checked(MathSteps())),
    "question_fault": question_fault,
    "final_answer": lambda text: (answers.final_answer(text), answers.yes_or_no(text)),
    "same": lambda text: (answers.same(text[:2000], "5"), answers.needs_algebra(text[:2000], "x+1")),
    "code_static": checked(CodeStatic()),
    "python_blocks": python_blocks,
    "code_of": lambda text: (code_of(text), code_of(text, "python", "f")),
    "prompt_of": lambda text: (prompt := prompt_of(f"{text}\ndef f(x):\n", "f"), program_of(text, prompt, "f")),
    "cases_of": lambda text: (cases_of([text]), same_output(text, "5")),
    "as_named": lambda text: as_named(LANGUAGES["java"], f"{text} static void main("),
    "sql_static": lambda text: SqlStatic().check(sample_of("q", text, schema="CREATE TABLE a (b)"), {}),
    "sql_result": lambda text: (query_of(text), is_ordered(text)),
    "votes": lambda text: (read_vote(text), read_ballot(text, "stop", CAST)),
    "grams": grams_of,
}


def seconds(read: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    read(text)
    return time.process_time() - began


def texts(length: int) -> list[str]:
    plain_ones = [(unit * (length // len(unit) + 1))[:length] for unit in UNITS]
    around = [f"{head}{sign * length}{TAIL}" for head in HEADS for sign in " \n1a"]
    return plain_ones + around


@pytest.mark.parametrize("name", READERS)
def test_ten_times_the_text_costs_at_most_thirty_times_the_time(name: str) -> None:
    read = READERS[name]
    for tiny, short, long in zip(texts(SHORT // 10), texts(SHORT), texts(LONG), strict=True):
        # From the shortest, so that what grows without bound is found while it is still small.
        for less, more in ((tiny, short), (short, long)):
            if seconds(read, more) > FLOOR:
                least = min(seconds(read, less) for _ in range(3))
                again = min(seconds(read, more) for _ in range(2))
                assert again <= max(FLOOR, MOST_TIMES * least), (name, more[:40], len(more), least, again)
