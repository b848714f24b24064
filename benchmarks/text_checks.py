"""False fails and false passes of the checks that read text, on whole data sets: `python -m benchmarks text_checks`."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from schemas.sample import Metadata, Reference, Sample
from services.verifier.checks import Check
from services.verifier.groundedness import Groundedness
from services.verifier.injection import Injection
from services.verifier.language import InLanguage
from services.verifier.mismatch import Mismatch
from services.verifier.privacy import Privacy
from services.verifier.text_format import TextFormat

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SEED = 7
INSTRUCTION_SETS = ("gsm8k", "huatuo_zh", "codegen", "seed", "mbpp")


def measure() -> list[Figure]:
    """Return the share of verdicts of each check: on rows as they are, and on rows made wrong."""
    if not DATA.exists():
        return []
    sets = {name: samples(name) for name in INSTRUCTION_SETS}
    figures: list[Figure] = []
    for check, options in (
        (TextFormat(), {}),
        (Privacy(), {}),
        (Injection(), {}),
        (InLanguage(), {}),
        (Mismatch(), {}),
    ):
        for name, rows in sets.items():
            figures += _shares(check, f"{name}, as it is", rows, options)
    for name, rows in sets.items():
        figures += _shares(Mismatch(), f"{name}, answers shuffled", shuffled(rows), {})
        figures += _shares(InLanguage(), f"{name}, answers of another language", foreign(rows, sets), {})
    solved = {"context": "instruction"}
    figures += _shares(Groundedness(), "gsm8k, question as evidence", sets["gsm8k"], solved)
    figures += _shares(Groundedness(), "gsm8k, question as evidence, answers shuffled", shuffled(sets["gsm8k"]), solved)
    for name, rows in hops().items():
        figures += _shares(Groundedness(), f"hotpotqa, made passages, {name}", rows, {})
    return figures


def samples(name: str) -> list[Sample]:
    """Return a data set as samples."""
    return [
        Sample(id=f"{name}-{at}", instruction=asked, response=answered, metadata=Metadata(domain=domain))
        for at, (asked, answered, domain) in enumerate(_rows(name))
        if asked.strip() and answered.strip()
    ]


def _rows(name: str) -> Iterable[tuple[str, str, str]]:
    if name == "gsm8k":
        return ((row["question"], row["answer"], "mathematics") for row in _lines("gsm8k/train.jsonl"))
    if name == "huatuo_zh":
        return ((_asked(row), row["output"], "medicine") for row in _lines("huatuo_zh/llama_data.json"))
    if name == "codegen":
        rows = json.loads((DATA / "gpteacher_codegen/codegen-instruct.json").read_text(encoding="utf-8"))
        return ((_asked(row), row["response"], "code") for row in rows)
    if name == "mbpp":
        return ((row["text"], row["code"], "code") for row in _lines("mbpp/mbpp.jsonl"))
    return (
        (_asked({**row, **one}), one["output"], "general")
        for row in _lines("self_instruct_seed/seed_tasks.jsonl")
        for one in row["instances"]
    )


def _asked(row: Mapping[str, Any]) -> str:
    return f"{row['instruction']}\n{row['input']}" if row.get("input") else str(row["instruction"])


def _lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / path).read_text(encoding="utf-8").split("\n") if line.strip()]


def shuffled(rows: list[Sample]) -> list[Sample]:
    """Return the rows, each with the answer of another one."""
    order = list(range(len(rows)))
    random.Random(SEED).shuffle(order)
    after = dict(zip(order, [*order[1:], order[0]], strict=True))
    return [row.model_copy(update={"response": rows[after[at]].response}) for at, row in enumerate(rows)]


def foreign(rows: list[Sample], sets: Mapping[str, list[Sample]]) -> list[Sample]:
    """Return the rows with answers in Chinese, or in English where they are Chinese."""
    others = sets["seed" if rows is sets["huatuo_zh"] else "huatuo_zh"]
    chance = random.Random(SEED)
    return [row.model_copy(update={"response": chance.choice(others).response}) for row in rows]


def hops() -> dict[str, list[Sample]]:
    """Return HotpotQA's bridge questions with passages made of question and answer, whole and made wrong.

    The data set here has no passages. The first made one repeats the question's words and names a bridge; the second
    says of the bridge that it goes with the answer.
    """
    (path,) = (DATA / "hotpotqa").glob("*.json")
    bridges = [row for row in json.loads(path.read_text(encoding="utf-8")) if row["type"] == "bridge"]
    first = [f"Zorvane Institute notes on this: {row['question'].rstrip('?')}." for row in bridges]
    second = [f"Zorvane Institute wrote down {row['answer']} in its book." for row in bridges]
    others = [*bridges[1:], bridges[0]]

    def made(at: int, evidence: list[str], answer: str) -> Sample:
        known = Metadata(reference=Reference(evidence=evidence))
        return Sample(id=str(at), instruction=bridges[at]["question"], response=answer, metadata=known)

    numbered = list(enumerate(bridges))
    return {
        "as it is": [made(at, [first[at], second[at]], row["answer"]) for at, row in numbered],
        "first hop missing": [made(at, [second[at], first[at - 1]], row["answer"]) for at, row in numbered],
        "second hop missing": [made(at, [first[at], second[at - 1]], row["answer"]) for at, row in numbered],
        "answer of another": [made(at, [first[at], second[at]], others[at]["answer"]) for at, _ in numbered],
    }


def _shares(check: Check, name: str, rows: list[Sample], options: Mapping[str, Any]) -> list[Figure]:
    verdicts = Counter(asyncio.run(_verdicts(check, rows, options)))
    return [
        Figure(f"{check.name}: {name} ({len(rows):,}): {verdict}", round(100 * count / len(rows), 3), "%")
        for verdict, count in sorted(verdicts.items())
    ]


async def _verdicts(check: Check, rows: list[Sample], options: Mapping[str, Any]) -> list[str]:
    said = []
    for row in rows:
        finding = check.check(row, options)
        finding = await finding if inspect.isawaitable(finding) else finding
        said.append(f"{finding.verdict} {finding.reason or ''}".strip() if finding else "nothing to check")
    return said
