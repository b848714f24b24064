"""A folder that grows at a steady rate: rows of the demo lake, its faults included, in files of a few seconds each."""

from __future__ import annotations

import csv
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from examples.demo_lake.lake import FOLDERS, LEAST_ROWS, Folder, build_lake

FIELDS = {
    **{name: name for name in ("instruction", "response", "domain", "language")},
    **{f"reference.{name}": name for name in ("tests", "entry_point", "schema")},
    "reference.answer": "reference",
}
STEP_S = 5.0


def lake_lines(folder: Path, rows: int, seed: int) -> list[bytes]:
    """Build a demo lake and return that many of its rows, shuffled, as JSON lines of one form; broken lines stay so."""
    build_lake(folder, max(rows, LEAST_ROWS), seed)
    lines = [line for part in FOLDERS for line in _lines(folder, part)]
    random.Random(seed).shuffle(lines)
    return lines[:rows]


def _lines(folder: Path, part: Folder) -> Iterator[bytes]:
    language = "zh" if part.name.endswith("_zh") else "en"
    for path in sorted((folder / part.name).iterdir()):
        for row in _rows(path):
            if isinstance(row, bytes):
                yield row
            else:
                named = {part.columns[column]: value for column, value in row.items()}
                yield json.dumps({"domain": part.domain, "language": language, **named}, ensure_ascii=False).encode()


def _rows(path: Path) -> Iterator[dict[str, object] | bytes]:
    if path.suffix == ".parquet":
        yield from pq.read_table(path).to_pylist()
    elif path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as stream:
            yield from csv.DictReader(stream)
    else:
        for line in path.read_bytes().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                yield line


class Feeder:
    """Writes the lines into files of a few seconds each, in a thread, until they are used up.

    Parameters
    ----------
    lines : sequence of bytes
    rate : float
        Lines a second.
    step_s : float
        Seconds of a file.
    """

    def __init__(self, lines: Sequence[bytes], folder: Path, rate: float, step_s: float = STEP_S) -> None:
        self.fed = 0
        self._lines = lines
        self._folder = folder
        self._step = max(1, round(rate * step_s))
        self._step_s = self._step / rate
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="feeder", daemon=True)
        folder.mkdir(parents=True)
        self._write(0)

    def start(self) -> None:
        """Begin; the first file is there already."""
        self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait until all is written."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"only {self.fed} of {len(self._lines)} rows were written")

    def stop(self) -> None:
        """Write no more."""
        self._over.set()

    def _feed(self) -> None:
        began = time.monotonic()
        for number in range(1, -(-len(self._lines) // self._step)):
            if self._over.wait(max(0.0, began + number * self._step_s - time.monotonic())):
                return
            self._write(number)

    def _write(self, number: int) -> None:
        part = self._lines[number * self._step : (number + 1) * self._step]
        draft = self._folder / f".part-{number:06d}"
        draft.write_bytes(b"".join(line + b"\n" for line in part))
        draft.rename(self._folder / f"part-{number:06d}.jsonl")
        self.fed += len(part)
