"""Rows a second from files to stamped, serialised records, with no broker."""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.figures import Figure, table
from limoflow.stream.types import Record, TopicPartition
from schemas.run import Run
from schemas.topics import RAW, RUNS
from services.ingestor.settings import IngestorSettings
from services.ingestor.task import Ingestor

ROWS = 60_000
FORMATS = ("jsonl", "csv", "parquet")


class _EmptyLog:
    def read(self, topics: Sequence[str], *, since_ms: int | None = None) -> Iterator[Record]:  # noqa: ARG002
        return iter(())


def measure() -> list[Figure]:
    """Return the rate of each format; rows have about 1.2 kB of text."""
    with tempfile.TemporaryDirectory() as place:
        return [_rate(Path(place), name) for name in FORMATS]


def _rate(folder: Path, kind: str) -> Figure:
    path = folder / f"rows.{kind}"
    _write(path)
    fields = {"instruction": "question", "response": "answer", "reference.answer": "gold"}
    spec = {"name": "bench", "sources": [{"path": str(path), "fields": fields, "domain": "mathematics"}]}
    run = Run.model_validate({"run_id": "bench", "spec": spec})
    task = Ingestor(IngestorSettings(), _EmptyLog())
    task.assigned([TopicPartition(RUNS, 0)])
    task.process([Record(RUNS, 0, 0, b"bench", run.to_bytes())])
    rows, began = 0, time.perf_counter()
    while emits := list(task.tick()):
        rows += sum(1 for emit in emits if emit.topic == RAW)
        task.delivered({})
    assert rows == ROWS, rows
    return Figure(f"ingest {kind}", rows / (time.perf_counter() - began), "rows/s", 20_000)


def _write(path: Path) -> None:
    rows = [
        {"question": f"Question {number}: " + "how many are left? " * 30, "answer": "Forty. " * 80, "gold": str(number)}
        for number in range(ROWS)
    ]
    if path.suffix == ".jsonl":
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    print(table(measure()))
