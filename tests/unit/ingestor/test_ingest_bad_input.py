from __future__ import annotations

import csv
import errno
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limoflow.errors import DependencyUnavailable
from limoflow.stream.dead_letters import read_dead_letter
from schemas.identity import source_id
from schemas.run import Run, RunSpec
from services.ingestor import files, formats
from services.ingestor.preflight import check_sources
from services.ingestor.sources import SourceError, Unit
from tests.unit.ingestor.ingest_log import Clock, Log, Worker

FIELDS = {"instruction": "question", "response": "answer", "reference.answer": "gold"}
GOOD = {"question": "q", "answer": "a"}


def make_run(*sources: dict[str, Any], **select: Any) -> Run:
    spec = {"name": "r", "sources": list(sources), "select": select}
    return Run.model_validate({"run_id": "r", "spec": spec})


def ingest(path: object, clock: Clock | None = None, **settings: int) -> Log:
    log = Log()
    Worker(log, make_run({"path": str(path), "fields": FIELDS}), clock or Clock(), **settings).drain()
    return log


def jsonl(*rows: Any) -> bytes:
    return b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows) + b"\n"


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b'{"question": "q", "answer": ', "broken JSON"),
        (b'{"question": "\xff\xfe", "answer": "a"}', "not UTF-8"),
        (b'{"question": "q"}', "'response' (column 'answer') is missing; the row has: question"),
        (b'{"question": 5, "answer": "a"}', "must be text, not int"),
        (b'{"question": null, "answer": "a"}', "is missing"),
        (b'{"question": "q", "answer": "a", "gold": ["x"]}', "'reference.answer' must be text, not list"),
        (b'{"question": "q", "answer": "a", "gold": NaN}', "broken JSON"),
        (b'{"question": "q", "answer": "\\ud800"}', "broken JSON"),
        (b"[1, 2]", "a JSON object was expected, not list"),
        (b'{"question": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "broken JSON"),
    ],
)
def test_a_bad_row_is_a_dead_letter_with_its_bytes_and_place_and_the_rest_goes_on(
    tmp_path: Path, bad: bytes, says: str
) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(GOOD, bad, GOOD))
    log = ingest(tmp_path / "*.jsonl")
    (letter,) = log.letters()
    read = read_dead_letter(letter)
    assert letter.value == bad
    assert says in read.error
    assert "a.jsonl#1" in read.error
    assert (read.sample_id, read.run_id, read.window) == (source_id("0:a.jsonl#1"), "r", 0)
    assert [sample.lineage.source_ref for sample in log.samples()] == ["a.jsonl#0", "a.jsonl#2"]
    (end,) = log.window_ends()
    assert (end.rows, end.last) == (2, True)


def test_a_row_whose_only_key_is_long_is_told_by_the_beginning_of_the_key(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl({"://a:" * 500_000: 1}))
    (letter,) = ingest(tmp_path / "a.jsonl").letters()
    assert read_dead_letter(letter).error.endswith("the row has: " + "://a:" * 20)


def test_empty_text_is_left_to_the_verifier(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl({"question": "", "answer": ""}))
    log = ingest(tmp_path / "a.jsonl")
    assert len(log.samples()) == 1
    assert not log.letters()


def test_a_row_of_5_megabytes_is_dead_lettered_whole_and_a_larger_one_cut_with_a_note(tmp_path: Path) -> None:
    large = jsonl({"question": "q" * 5_000_000, "answer": "a"}).strip()
    huge = jsonl({"question": "q" * 17_000_000, "answer": "a"}).strip()
    (tmp_path / "a.jsonl").write_bytes(jsonl(large, huge, GOOD))
    log = ingest(tmp_path / "a.jsonl", max_dead_letter_bytes=6_000_000)
    first, second = log.letters()
    assert first.value == large
    assert "the bound is 1048576" in read_dead_letter(first).error
    assert len(second.value or b"") == 6_000_000
    assert dict(second.headers)["ce_truncatedfrom"] == str(16 << 20).encode()
    assert [sample.lineage.source_ref for sample in log.samples()] == ["a.jsonl#2"]


@pytest.mark.parametrize("name", ["missing/*.jsonl", "missing.jsonl", "notes.txt", "locked.jsonl", "bad.parquet"])
def test_a_source_that_cannot_be_read_ends_the_run_with_one_dead_letter(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "locked.jsonl").symlink_to(tmp_path / "nowhere")
    log = ingest(tmp_path / name)
    (letter,) = log.letters()
    assert name.partition("/")[0].split(".")[0] in read_dead_letter(letter).error
    (end,) = log.window_ends()
    assert (end.rows, end.last) == (0, True)
    spec = RunSpec.model_validate({"name": "r", "sources": [{"path": str(tmp_path / name)}]})
    (problem,) = check_sources(spec)
    assert problem.startswith("sources[0]: ")


def test_a_file_that_may_not_be_read_is_one_dead_letter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(GOOD))
    (tmp_path / "b.jsonl").write_bytes(jsonl(GOOD))
    real = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "a.jsonl":
            raise PermissionError(13, "Permission denied")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    log = ingest(tmp_path / "*.jsonl")
    (letter,) = log.letters()
    assert "Permission denied" in read_dead_letter(letter).error
    assert len(log.samples()) == 1


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.EBUSY, "slow down"), DependencyUnavailable),
        (TimeoutError("no answer"), DependencyUnavailable),
        (ConnectionResetError("reset"), DependencyUnavailable),
        (PermissionError(13, "Permission denied"), SourceError),
    ],
)
def test_a_store_that_stops_answering_within_a_file_is_an_outage_and_not_the_files_fault(
    monkeypatch: pytest.MonkeyPatch, name: str, error: OSError, raised: type[Exception]
) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise error

        def readline(self, size: int | None = -1) -> bytes:
            raise error

    monkeypatch.setattr(files, "_opened", lambda filesystem, unit: Failing(b"x" * 100))
    with pytest.raises(raised, match=name):
        list(files.read_unit(f"memory://lake/{name}", Unit(name, f"/lake/{name}", 100), 0, 0))


def test_an_empty_file_is_noted_and_the_run_ends(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.csv", "c.json"):
        (tmp_path / name).write_bytes(b"")
    log = ingest(tmp_path / "*")
    states = {(record.key or b"").decode(): json.loads(record.value or b"") for record in log.of("ingest.state")}
    assert all(states[f"r|0:{name}"]["done"] for name in ("a.jsonl", "b.csv", "c.json"))
    assert not log.letters()
    assert [end.last for end in log.window_ends()] == [True]


def test_a_broken_csv_record_and_one_with_bad_bytes_are_dead_letters(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'question,answer\nq0,"a\n0"\nq1,a1,extra\nq\xff,a2\nq3,a3\n"q4,a4')
    log = ingest(tmp_path / "a.csv")
    assert [(sample.instruction, sample.response) for sample in log.samples()] == [("q0", "a\n0"), ("q3", "a3")]
    faults = [(letter.value, read_dead_letter(letter).error) for letter in log.letters()]
    assert sorted((value or b"").strip() for value, _ in faults) == sorted([b"q1,a1,extra", b"q\xff,a2", b'"q4,a4'])
    assert any("3 fields, the header 2" in error for _, error in faults)
    assert any("not UTF-8" in error for _, error in faults)


def test_parquet_text_that_is_not_utf8_costs_one_row(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.array([b"q0", b"\xff", b"q2"], pa.binary()).view(pa.binary())
    column = pa.Array.from_buffers(pa.string(), 3, texts.buffers())
    pq.write_table(pa.table({"question": column, "answer": ["a", "a", "a"]}), tmp_path / "a.parquet")
    log = ingest(tmp_path / "a.parquet")
    assert [sample.instruction for sample in log.samples()] == ["q0", "q2"]
    (letter,) = log.letters()
    assert "not UTF-8" in read_dead_letter(letter).error


def test_a_cut_gzip_file_keeps_the_rows_before_the_cut(tmp_path: Path) -> None:
    whole = gzip.compress(jsonl(*[{"question": f"{number} {'x' * 50}", "answer": "a"} for number in range(5000)]))
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    log = ingest(tmp_path / "a.jsonl.gz")
    assert log.samples()
    assert len(log.letters()) == 1
    assert log.window_ends()[0].last


def test_a_run_that_cannot_be_read_is_a_dead_letter(tmp_path: Path) -> None:
    from limoflow.stream.types import Record

    worker = Worker(Log(), make_run({"path": str(tmp_path)}), Clock())
    (letter,) = worker.task.process([Record("runs", 0, 1, b"x", b"{")])
    assert letter.value == b"{"
    unknown = make_run({"path": "x", "kind": "carrier-pigeon"})
    (letter,) = worker.announce(unknown)
    assert b"carrier-pigeon" in dict(letter.headers)["dlq_error"]


@pytest.fixture
def csv_limit_put_back() -> Iterator[None]:
    """Put back what the csv module keeps for the whole process."""
    limit = csv.field_size_limit()
    yield
    csv.field_size_limit(limit)


@pytest.mark.usefixtures("csv_limit_put_back")
def test_a_csv_line_without_end_is_one_broken_row(monkeypatch):
    monkeypatch.setattr(formats, "MAX_LINE_BYTES", 100)
    monkeypatch.setattr(formats, "_SKIP_BYTES", 10)
    data = b"instruction,response\na,b\n" + b"x" * 5000 + b",y\nc,d\n"
    read = formats.reader_of("a.csv")(io.BytesIO(data), Unit("a.csv", "a.csv", len(data)), 0, 0)
    found = [row for row in read if not row.passed]
    assert [row.value for row in found] == [
        {"instruction": "a", "response": "b"},
        None,
        {"instruction": "c", "response": "d"},
    ]
    assert "longer than 100" in str(found[1].error)
    assert len(found[1].original) <= 100
