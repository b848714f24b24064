"""Lays out the demo lake: which domains, which files, how many faults of which kind, and where they landed."""

import csv
import io
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from examples.demo_lake import code_tasks, general_en, general_zh, mathematics_en, mathematics_zh, sql_tasks
from examples.demo_lake.faults import (
    FAULT_KINDS,
    Fault,
    add_personal_data,
    break_json,
    break_utf8,
    cut_off,
    give_wrong_answer,
    reword,
    take_foreign_answer,
)
from examples.demo_lake.rows import NovelRows, Row, RowMaker, one_of

FAULTS_FILE = "_faults.jsonl"
LEAST_ROWS = 600


@dataclass(frozen=True)
class Folder:
    """One folder of the lake.

    Attributes
    ----------
    share
        Its share of all rows.
    makers
        Each language's makers with its share of the folder.
    columns
        The attribute of `Row` behind each column of its files.
    faults
        The share of its rows with each kind of fault.
    """

    name: str
    domain: str
    suffix: str
    files: int
    share: float
    makers: Sequence[tuple[float, Sequence[RowMaker]]]
    columns: Mapping[str, str]
    faults: Mapping[str, float]


@dataclass(eq=False)
class _Entry:
    """A row on its way to a file, with the fault it carries."""

    row: Row
    fault: str = ""
    detail: str = ""
    original: "_Entry | None" = None
    break_line: Callable[[bytes, random.Random], tuple[bytes, str]] | None = None
    place: tuple[str, int] = field(default=("", -1))


FOLDERS = (
    Folder("mathematics", "mathematics", "jsonl", 3, 0.30, ((1.0, mathematics_en.MAKERS),),
           {"question": "instruction", "answer": "response", "final_answer": "reference"},
           {"wrong_answer": 0.04, "mismatched_answer": 0.02, "exact_duplicate": 0.02, "near_duplicate": 0.02,
            "truncated": 0.015, "broken_json": 0.01, "not_utf8": 0.005, "personal_data": 0.01}),
    Folder("mathematics_zh", "mathematics", "parquet", 2, 0.15, ((1.0, mathematics_zh.MAKERS),),
           {"problem": "instruction", "solution": "response", "result": "reference"},
           {"wrong_answer": 0.04, "mismatched_answer": 0.02, "exact_duplicate": 0.02, "near_duplicate": 0.02,
            "truncated": 0.015, "personal_data": 0.01}),
    Folder("code", "code", "parquet", 2, 0.15, ((1.0, code_tasks.MAKERS),),
           {"prompt": "instruction", "completion": "response", "test_list": "tests", "function": "entry_point"},
           {"mismatched_answer": 0.02, "exact_duplicate": 0.03, "near_duplicate": 0.03, "truncated": 0.025,
            "personal_data": 0.015}),
    Folder("sql", "sql", "csv", 2, 0.15, ((1.0, sql_tasks.MAKERS),),
           {"nl_question": "instruction", "ddl": "schema", "query": "response", "expected_rows": "reference"},
           {"mismatched_answer": 0.02, "exact_duplicate": 0.03, "near_duplicate": 0.03, "truncated": 0.025,
            "personal_data": 0.015}),
    Folder("general", "general", "jsonl", 3, 0.25, ((0.65, general_en.MAKERS), (0.35, general_zh.MAKERS)),
           {"instruction": "instruction", "output": "response", "lang": "language"},
           {"mismatched_answer": 0.025, "exact_duplicate": 0.025, "near_duplicate": 0.025, "truncated": 0.02,
            "broken_json": 0.015, "not_utf8": 0.01, "personal_data": 0.025}),
)  # fmt: skip


def build_lake(folder: Path, rows: int = 6000, seed: int = 7) -> list[Fault]:
    """Write the lake and its side file; the same arguments give the same bytes.

    Parameters
    ----------
    folder
        Where the lake goes; made if absent. Every file appears whole or not at all.
    rows
        How many rows, at least 600.
    seed
        The seed of all draws.

    Returns
    -------
    list of Fault
        What was planted, as in the side file ``_faults.jsonl``.

    Raises
    ------
    ValueError
        Too few rows are asked for.
    """
    if rows < LEAST_ROWS:
        raise ValueError(f"rows is {rows}: the demo lake needs at least {LEAST_ROWS} to hold every kind of fault")
    faults: list[Fault] = []
    for part in FOLDERS:
        random_source = random.Random(f"{seed}/{part.name}")  # noqa: S311 - a seeded draw, not a secret
        entries = _entries(part, round(rows * part.share), random_source)
        _write_folder(folder, part, entries, random_source)
        faults += _labels(part, entries)
    _write_whole(folder / FAULTS_FILE, "".join(fault.to_json() + "\n" for fault in faults).encode())
    return faults


def _entries(part: Folder, total: int, random_source: random.Random) -> list[_Entry]:
    planned = {kind: max(1, round(total * part.faults[kind])) for kind in FAULT_KINDS if kind in part.faults}
    copies = planned["exact_duplicate"] + planned["near_duplicate"]
    clean = [_Entry(row) for row in _clean_rows(part, total - copies, random_source)]
    untouched = random_source.sample(clean, len(clean))
    chosen = [(kind, untouched.pop()) for kind, count in planned.items() for _ in range(count)]
    donors = [entry.row for entry in untouched]
    added: list[_Entry] = []
    for kind, entry in chosen:
        if kind in ("exact_duplicate", "near_duplicate"):
            added.append(_copy(kind, entry, random_source))
        else:
            _spoil(kind, entry, donors, random_source)
    entries = clean + added
    random_source.shuffle(entries)
    return entries


def _clean_rows(part: Folder, count: int, random_source: random.Random) -> Iterator[Row]:
    left = count
    for number, (share, makers) in enumerate(part.makers):
        wanted = left if number == len(part.makers) - 1 else round(count * share)
        left -= wanted
        yield from NovelRows(one_of(makers), random_source).draw(wanted)


def _copy(kind: str, entry: _Entry, random_source: random.Random) -> _Entry:
    row, detail = (entry.row, "copied") if kind == "exact_duplicate" else reword(entry.row, random_source)
    return _Entry(row, kind, detail, original=entry)


def _spoil(kind: str, entry: _Entry, donors: Sequence[Row], random_source: random.Random) -> None:
    entry.fault = kind
    match kind:
        case "wrong_answer":
            entry.row, entry.detail = give_wrong_answer(entry.row, random_source)
        case "mismatched_answer":
            entry.row, entry.detail = take_foreign_answer(entry.row, donors, random_source)
        case "truncated":
            entry.row, entry.detail = cut_off(entry.row, random_source)
        case "personal_data":
            entry.row, entry.detail = add_personal_data(entry.row, random_source)
        case _:
            entry.break_line = break_json if kind == "broken_json" else break_utf8


def _write_folder(folder: Path, part: Folder, entries: list[_Entry], random_source: random.Random) -> None:
    size = -(-len(entries) // part.files)
    for number in range(part.files):
        name = f"{part.name}/part-{number}.{part.suffix}"
        members = entries[number * size : (number + 1) * size]
        for row, entry in enumerate(members):
            entry.place = (name, row)
        _write_whole(folder / name, _WRITERS[part.suffix](part, members, random_source))


def _labels(part: Folder, entries: Sequence[_Entry]) -> Iterator[Fault]:
    for entry in entries:
        if entry.fault:
            of = entry.original.place if entry.original else None
            yield Fault(*entry.place, entry.fault, part.domain, entry.detail, of)


def _record(part: Folder, row: Row) -> dict[str, str | list[str]]:
    values = {column: getattr(row, attribute) for column, attribute in part.columns.items()}
    return {column: list(value) if isinstance(value, tuple) else value for column, value in values.items()}


def _jsonl(part: Folder, entries: Sequence[_Entry], random_source: random.Random) -> bytes:
    lines = []
    for entry in entries:
        line = json.dumps(_record(part, entry.row), ensure_ascii=False).encode()
        if entry.break_line:
            line, entry.detail = entry.break_line(line, random_source)
        lines.append(line + b"\n")
    return b"".join(lines)


def _csv(part: Folder, entries: Sequence[_Entry], _random_source: random.Random) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(part.columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_record(part, entry.row) for entry in entries)
    return buffer.getvalue().encode()


def _parquet(part: Folder, entries: Sequence[_Entry], _random_source: random.Random) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([_record(part, entry.row) for entry in entries]), buffer, compression="snappy")
    return buffer.getvalue()


_WRITERS = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}


def _write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
