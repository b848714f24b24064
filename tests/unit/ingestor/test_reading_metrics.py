"""What a batch says of itself for metrics: labels of a bounded set, and files counted that were really read."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from schemas.run import Run
from services.ingestor.formats import format_of
from services.ingestor.reading import Batch, RunReading
from services.ingestor.settings import IngestorSettings
from services.ingestor.sources import SourceError, source_kind
from tests.unit.ingestor.test_ingest_bad_input import FIELDS, GOOD, jsonl, make_run


def read(run: Run) -> Batch:
    kinds, faults = {"files": source_kind("files")}, list[SourceError]()
    reading = RunReading(run, kinds, None, {}, IngestorSettings(), lambda: 1.0, "1", on_fault=faults.append)
    batch = reading.batch("open")
    assert batch is not None
    return batch


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("a.jsonl", "jsonl"),
        ("deep/A.JSONL.GZ", "jsonl"),
        ("a.json", "json"),
        ("a.csv.gz", "csv"),
        ("a.pq", "pq"),
        ("invoice.2026-11-21", "other"),
        ("a.jsonl.0001", "other"),
        ("", "other"),
    ],
)
def test_a_label_is_one_of_the_known_formats_whatever_a_file_is_called(name: str, label: str) -> None:
    assert format_of(name) == label


def test_only_files_that_were_read_to_their_end_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(GOOD))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(jsonl(GOOD))[:-9])
    (tmp_path / "c.json").write_bytes(b"[{")
    (tmp_path / "d.name-from-outside").write_bytes(b"x")
    batch = read(make_run({"path": str(tmp_path / "*"), "fields": FIELDS}))
    assert all(progress.done for progress in batch.files.values())
    assert batch.ended == Counter(jsonl=1)
    assert set(batch.rows) <= {"jsonl"}
