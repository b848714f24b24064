"""Small files that would take much memory or time: bounded by bytes and by parts of a row, and read bit by bit."""

from __future__ import annotations

import csv
import gzip
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from limoflow.stream.dead_letters import read_dead_letter
from services.ingestor import formats
from services.ingestor.formats import MAX_ROW_PARTS
from services.ingestor.sources import Row, Unit
from tests.unit.ingestor.ingest_log import Clock, Log, Worker
from tests.unit.ingestor.test_ingest_bad_input import FIELDS, GOOD, ingest, jsonl, make_run

MIB = 1 << 20
READ = """
import sys
from pathlib import Path
from services.ingestor.formats import reader_of
from services.ingestor.sources import SourceError, Unit
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
with open(sys.argv[1], "rb") as stream:
    try:
        faults = [row.error for row in reader_of(sys.argv[1])(stream, Unit("a", "", 0), 0, 0) if row.error][:3]
    except SourceError as error:
        faults = [str(error)]
print(peak() - before, faults)
"""


@pytest.fixture(autouse=True)
def csv_limit_put_back() -> Iterator[None]:
    """Put back what the csv module keeps for the whole process."""
    limit = csv.field_size_limit()
    yield
    csv.field_size_limit(limit)


def memory(path: Path) -> tuple[int, str]:
    """Return the KiB that reading a file takes, and the faults that are told."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", READ, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    taken, _, faults = done.stdout.partition(" ")
    return int(taken), faults


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("header.csv.gz", b'"\n",' * (4 * MIB), "no readable header"),
        ("lines.csv.gz", b'a,b\nx,"' + b"xx\n" * (17 * MIB // 3), "a record of several lines"),
        ("line.csv.gz", b"a,b\n" + b"a," * (7 * MIB) + b"\n", "commas"),
        ("objects.jsonl.gz", b'{"a":[' + b"{}," * (3 * MIB) + b"{}]}\n", "brackets, commas and colons"),
        ("lists.jsonl.gz", b'{"a":[' + b"[[]]," * (2 * MIB) + b"[]]}\n", "brackets, commas and colons"),
        ("element.json.gz", b'[{"a":[' + b"{}," * (3 * MIB) + b"{}]}]", "brackets, commas and colons"),
    ],
)
def test_a_row_of_very_many_parts_is_refused_and_takes_little_memory(
    tmp_path: Path, name: str, data: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(data, 1))
    taken, faults = memory(path)
    assert says in faults
    assert taken < 160 * 1024


def rows_of(name: str, data: bytes, position: int = 0, number: int = 0) -> list[Row]:
    return list(formats.reader_of(name)(io.BytesIO(data), Unit(name, name, len(data)), position, number))


def test_an_honest_row_of_a_hundred_thousand_parts_is_read() -> None:
    numbers = list(range(100_000))
    (row,) = rows_of("a.jsonl", jsonl({"question": "q", "answer": "a", "tokens": numbers, "text": "a, b: c" * 90_000}))
    assert row.error is None
    assert row.value["tokens"] == numbers
    found = rows_of("a.csv", b'question,answer\n"' + b"a, b\n" * 500_000 + b'",a\n')
    assert [row.error for row in found] == [None]
    assert 10 * len(numbers) <= MAX_ROW_PARTS


HUGE = b'"' + b"x" * (3 * MIB) + b'"'


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.jsonl", b"\n" * (3 * MIB) + jsonl(GOOD)),
        ("a.jsonl", (b" " * 999 + b"\n") * (3 * 1024) + jsonl(GOOD)),
        ("a.jsonl", HUGE + b"\n" + jsonl(GOOD)),
        ("a.csv", b"question,answer\n" + b"\n" * (3 * MIB) + b"q,a\n"),
        ("a.csv", b"question,answer\n" + HUGE + b"\nq,a\n"),
    ],
)
def test_no_batch_reads_more_than_a_few_megabytes_and_each_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes
) -> None:
    taken, longest = [0], 256 * 1024
    monkeypatch.setattr(formats, "MAX_LINE_BYTES", longest)
    monkeypatch.setattr(formats, "_SKIP_BYTES", longest // 4)

    class Counted(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            size = super().readinto(buffer) or 0
            taken[0] += size
            return size

    monkeypatch.setattr(
        "services.ingestor.files._opened", lambda _, unit: io.BufferedReader(Counted(unit.address, "rb"))
    )
    (tmp_path / name).write_bytes(data)
    run = make_run({"path": str(tmp_path / name), "fields": FIELDS})
    log, most, steps = Log(), 0, 0
    worker = Worker(log, run, Clock(), batch_bytes=2 * longest)
    while worker.step():
        most, taken[0], steps = max(most, taken[0]), 0, steps + 1
    assert most <= 4 * longest, "one line, what fills a batch, and what is read ahead"
    assert steps >= 5
    assert [sample.instruction for sample in log.samples()] == ["q"]
    assert len(log.letters()) == (data.find(HUGE) >= 0)
    assert log.window_ends()[-1].rows == 1
    # Another worker each time finds the same.
    if name.endswith(".jsonl"):
        other = Log()
        while Worker(other, run, Clock(), batch_bytes=2 * longest).step():
            pass
        assert other.rows() == log.rows()
        assert [letter.key for letter in other.letters()] == [letter.key for letter in log.letters()]


def test_a_line_that_is_too_long_is_passed_over_by_whoever_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_LINE_BYTES", 100)
    monkeypatch.setattr(formats, "_SKIP_BYTES", 10)
    data = jsonl({"n": 0}, b"x" * 1000, b"", {"n": 3})
    whole = rows_of("a.jsonl", data)
    assert [(row.number, row.value) for row in whole if not row.passed] == [(0, {"n": 0}), (1, None), (3, {"n": 3})]
    assert "more than the 100 bytes" in str(whole[1].error)
    for at, row in enumerate(whole):
        number = row.number if row.passed else row.number + 1
        rest = rows_of("a.jsonl", data, row.after, number)
        assert [one for one in rest if not one.passed] == [one for one in whole[at + 1 :] if not one.passed]


def test_many_files_without_rows_fill_a_batch(tmp_path: Path) -> None:
    for at in range(25):
        (tmp_path / f"{at:02}.jsonl").write_bytes(b"")
    (tmp_path / "z.jsonl").write_bytes(jsonl(GOOD))
    log, steps = Log(), 0
    worker = Worker(log, make_run({"path": str(tmp_path), "fields": FIELDS}), Clock(), batch_rows=10)
    while worker.step():
        steps += 1
    assert steps >= 3
    assert len(log.samples()) == 1


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (pa.array([0, 2**31 - 1, 0], pa.date32()), "date32"),
        (pa.array([0, 2**60, 0], pa.timestamp("ms")), "timestamp"),
        (pa.array([0, 2**62, 0], pa.duration("s")), "duration"),
        (pa.array([0, -(2**62), 0], pa.timestamp("ms", "UTC")), "timestamp"),
    ],
)
def test_a_parquet_value_that_nothing_can_hold_costs_the_row_where_it_is_mapped_and_else_nothing(
    tmp_path: Path, odd: pa.Array, says: str
) -> None:
    table = {"question": ["q0", "q1", "q2"], "answer": ["a"] * 3, "odd": odd}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    log = ingest(tmp_path / "a.parquet")
    assert [sample.instruction for sample in log.samples()] == ["q0", "q1", "q2"]
    assert not log.letters()
    mapped = Log()
    fields = {**FIELDS, "domain": "odd"}
    Worker(mapped, make_run({"path": str(tmp_path / "a.parquet"), "fields": fields}), Clock()).drain()
    errors = [read_dead_letter(letter).error for letter in mapped.letters()]
    assert len(errors) == 3
    assert [error for error in errors if "'domain' cannot be read" in error and says in error]


def test_a_parquet_zone_that_nobody_knows_costs_no_row(tmp_path: Path) -> None:
    zoned = pa.array([0, None], pa.timestamp("s", "Nowhere/None"))
    bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", b"q1"], pa.binary()).buffers())
    for name, question in (("a.parquet", pa.array(["q0", "q1"])), ("b.parquet", bad)):
        pq.write_table(pa.table({"question": question, "answer": ["a"] * 2, "odd": zoned}), tmp_path / name)
    log = ingest(tmp_path / "*.parquet")
    assert [sample.instruction for sample in log.samples()] == ["q0", "q1", "q1"]
    (letter,) = log.letters()
    assert "not UTF-8" in read_dead_letter(letter).error
