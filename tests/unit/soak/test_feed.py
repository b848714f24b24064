"""The feed: rows of the demo lake in one form, file by file, all of them once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.soak.feed import FIELDS, Feeder, lake_lines
from schemas.run import Source
from services.ingestor.rows import RowMapper, unknown_fields


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return lake_lines(tmp_path_factory.mktemp("lake"), 600, 3)


def test_rows_of_all_domains_are_samples_and_a_few_cannot_be_read(lines: list[bytes]) -> None:
    source = Source(path="x", fields=FIELDS)
    assert unknown_fields(source) == []
    mapper, broken, samples = RowMapper(source, "1"), 0, []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            broken += 1
            continue
        _, data = mapper.sample(row, mapper.texts(row), "id", "f#1", "f", "run", 0)
        samples.append(json.loads(data)["metadata"])
    assert (len(lines), 0 < broken < 60) == (600, True)
    assert {one["domain"] for one in samples} == {"mathematics", "code", "sql", "general"}
    assert {one["language"] for one in samples} == {"en", "zh"}
    assert {name for one in samples for name in one.get("reference", {})} == {
        "answer",
        "tests",
        "entry_point",
        "schema",
    }


def test_every_line_is_written_once_in_whole_files(lines: list[bytes], tmp_path: Path) -> None:
    feeder = Feeder(lines, tmp_path / "flow", rate=1000.0, step_s=0.1)
    assert feeder.fed > 0, "a run can be submitted before the feed begins"
    feeder.start()
    feeder.wait(60.0)
    files = sorted((tmp_path / "flow").iterdir())
    assert b"".join(path.read_bytes() for path in files).splitlines() == lines
    assert feeder.fed == len(lines)
    assert len(files) == 6
