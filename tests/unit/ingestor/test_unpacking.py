"""Parquet files that unpack to far more than they are: bounded, told, and the rows before them kept."""

from __future__ import annotations

import gc
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from limoflow.stream.dead_letters import read_dead_letter
from schemas.run import Source
from services.ingestor.files import Files
from services.ingestor.preflight import check_sources
from tests.unit.ingestor.ingest_log import Log
from tests.unit.ingestor.test_ingest_bad_input import ingest, make_run

MIB = 1 << 20


@pytest.fixture(autouse=True)
def small_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMOFLOW_INGESTOR_MAX_UNPACKED_BYTES", str(64 * MIB))


def write(path: Path, questions: list[str] | pa.Array) -> Path:
    answers = [f"answer {at}" for at in range(len(questions))]
    pq.write_table(pa.table({"question": questions, "answer": answers}), path, compression="zstd", row_group_size=64)
    return path


def test_a_row_that_unpacks_beyond_the_bound_is_one_dead_letter_and_the_rows_before_it_stay(tmp_path: Path) -> None:
    path = write(tmp_path / "bomb.parquet", [*(f"question {at}" for at in range(64)), "x" * (80 * MIB), "after"])
    assert path.stat().st_size < MIB
    log: Log = ingest(path)
    assert [sample.instruction for sample in log.samples()] == [f"question {at}" for at in range(64)]
    (letter,) = log.letters()
    for word in ("bomb.parquet", "row 64", str(64 * MIB), "LIMOFLOW_INGESTOR_MAX_UNPACKED_BYTES"):
        assert word in read_dead_letter(letter).error
    (end,) = log.window_ends()
    assert (end.rows, end.last) == (64, True)
    # The same is heard before the run is submitted, where it is the first row.
    alone = write(tmp_path / "first.parquet", ["x" * (80 * MIB)])
    (problem,) = check_sources(make_run({"path": str(alone)}).spec)
    assert "unpacks to more than" in problem


def test_rows_that_are_too_large_together_are_read_one_by_one(tmp_path: Path) -> None:
    """One text of a dictionary that 48 rows share: 3 MiB each, and a file of a few kB."""
    shared = pa.DictionaryArray.from_arrays(pa.array([0] * 48, pa.int32()), pa.array(["x" * (3 * MIB)]))
    path = write(tmp_path / "shared.parquet", shared)
    assert path.stat().st_size < 64 * 1024
    log = ingest(path, max_sample_bytes=4 * MIB)
    assert len(log.samples()) == 48
    assert not log.letters()


def test_one_process_reads_file_after_file_and_ends_with_what_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    write(tmp_path / "a.parquet", ["one", "two"])
    write(tmp_path / "b.parquet", ["three"])
    (tmp_path / "c.parquet").write_bytes(b"PAR1 but no more")
    source, files = Source(path=str(tmp_path)), Files()
    a, b, c = files.units(source)
    assert [row.value["question"] for row in files.rows(a, source, 0, 0)] == ["one", "two"]
    with pytest.raises(ValueError, match="no readable Parquet"):
        list(files.rows(c, source, 0, 0))
    assert [(row.number, row.value["question"]) for row in files.rows(a, source, 1, 1)] == [(1, "two")]
    assert [row.value["question"] for row in files.rows(b, source, 0, 0)] == ["three"]
    (first,) = started
    first.kill()
    first.wait()
    with pytest.raises(ValueError, match="the process that read it has ended"):
        list(files.rows(a, source, 0, 0))
    assert len(list(files.rows(a, source, 0, 0))) == 2
    assert started[-1].poll() is None
    del files
    gc.collect()
    assert all(process.poll() is not None for process in started)
