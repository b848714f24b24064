"""Pools of real instruction data in which every second row is spoilt, and clean rows that are held out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ROWS = 1_000
HELD_OUT = 400
REPEATED = "repeated"
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a pool.

    Attributes
    ----------
    fault : str
        What was done to it; empty for a clean row.
    """

    instruction: str
    response: str
    domain: str
    language: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class StudyPool:
    """A pool, and clean rows of the same source that are not in it."""

    name: str
    rows: tuple[Row, ...]
    held_out: tuple[Row, ...]


def pools(data: Path = DATA) -> list[StudyPool]:
    """Return the pools whose data is there."""
    sources: dict[str, Callable[[Path], Iterator[Row]]] = {
        "gsm8k": _gsm8k,
        "code": _code,
        "huatuo (Chinese)": _huatuo,
        "mixed": _mixed,
    }
    return [_spoilt(name, sorted(set(read(data)), key=repr)) for name, read in sources.items()]


def _gsm8k(data: Path) -> Iterator[Row]:
    for line in (data / "gsm8k" / "train.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        yield Row(item["question"], item["answer"], "mathematics", "en")


def _code(data: Path) -> Iterator[Row]:
    for item in json.loads((data / "gpteacher_codegen" / "codegen-instruct.json").read_text(encoding="utf-8")):
        asked = "\n".join(part for part in (item["instruction"], item["input"]) if part)
        if len(item["response"]) > 80:
            yield Row(asked, item["response"], "code", "en")


def _huatuo(data: Path) -> Iterator[Row]:
    for line in (data / "huatuo_zh" / "llama_data.json").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        if len(item["output"]) > 40:
            yield Row(item["instruction"], item["output"], "general", "zh")


def _spider(data: Path) -> Iterator[Row]:
    for item in json.loads((data / "spider" / "dev.json").read_text(encoding="utf-8")):
        yield Row(item["question"], item["query"], "sql", "en")


def _mixed(data: Path) -> Iterator[Row]:
    """Yield three kinds of which one is five times as common as the others together."""
    random = Random(7)
    common = sorted(set(_gsm8k(data)), key=repr)
    yield from random.sample(common, 1_200)
    for read in (_code, _spider):
        yield from random.sample(sorted(set(read(data)), key=repr), 160)


def _spoilt(name: str, clean: Sequence[Row]) -> StudyPool:
    random = Random(f"study:{name}")
    rows = random.sample(clean, min(len(clean), ROWS + HELD_OUT))
    kept, held_out = rows[:-HELD_OUT], rows[-HELD_OUT:]
    spoilers = (_mismatched, _shuffled, _truncated, _other_numbers, _repeated)
    made = []
    for place, row in enumerate(kept):
        spoil = spoilers[place // 2 % len(spoilers)] if place % 2 else None
        made.append(row if spoil is None else spoil(row, kept[place - 1], random))
    return StudyPool(name, tuple(made), tuple(held_out))


def _mismatched(row: Row, other: Row, _random: Random) -> Row:
    return Row(row.instruction, other.response, row.domain, row.language, "mismatched")


def _shuffled(row: Row, _other: Row, random: Random) -> Row:
    words = list(row.response) if row.language == "zh" else row.response.split(" ")
    random.shuffle(words)
    return Row(row.instruction, ("" if row.language == "zh" else " ").join(words), row.domain, row.language, "shuffled")


def _truncated(row: Row, _other: Row, _random: Random) -> Row:
    return Row(row.instruction, row.response[: len(row.response) // 4], row.domain, row.language, "truncated")


def _other_numbers(row: Row, _other: Row, random: Random) -> Row:
    """Return the row with other numbers in the answer; without numbers, with half of its sentences gone."""
    changed = _NUMBER.sub(lambda _: str(random.randrange(2, 500)), row.response)
    if changed == row.response:
        parts = re.split(r"(?<=[.。;；\n])", row.response)
        changed = "".join(parts[::2]) if len(parts) > 2 else row.response[len(row.response) // 2 :]
    return Row(row.instruction, changed, row.domain, row.language, "other numbers")


def _repeated(_row: Row, other: Row, _random: Random) -> Row:
    """Return a copy of the clean row before it, with one word more."""
    more = "请 " if other.language == "zh" else "Please: "
    return Row(more + other.instruction, other.response, other.domain, other.language, REPEATED)
