"""A run that is stopped ends at once, whatever its sources do, and stays ended whatever comes later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from limoflow.errors import DependencyUnavailable
from schemas.run import Run
from services.ingestor.sources import Row, Unit
from tests.unit.ingestor.ingest_log import Clock, Crash, Log, Worker
from tests.unit.ingestor.test_ingest_bad_input import FIELDS, GOOD, jsonl, make_run

BATCH, ROWS = 7, 60


def stopped(run: Run) -> Run:
    return run.model_copy(update={"state": "stopping"})


def run_over(folder: Path, *, window: Any = "all", **source: Any) -> Run:
    (folder / "a.jsonl").write_bytes(jsonl(*[{**GOOD, "question": f"q{at}"} for at in range(ROWS)]))
    return make_run({"path": str(folder / "*.jsonl"), "fields": FIELDS, **source}, window=window)


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("window", ["all", {"count": 5}, {"count": BATCH}, {"seconds": 1}])
@pytest.mark.parametrize("batches", [1, 3])
def test_what_was_read_is_closed_and_nothing_more_is_read(
    tmp_path: Path, window: Any, batches: int, follow: bool
) -> None:
    run = run_over(tmp_path, window=window, follow=follow, settle_seconds=0)
    log, clock = Log(), Clock()
    worker = Worker(log, run, clock, batch_rows=BATCH)
    for _ in range(batches):
        assert worker.step()
    read = len(log.samples())
    assert worker.announce(stopped(run)) == []
    worker.drain()
    assert len(log.samples()) == read < ROWS
    ends = log.window_ends()
    assert sum(end.rows for end in ends) == read
    assert [end.last for end in ends] == [False] * (len(ends) - 1) + [True]
    assert [end.stopped is not None for end in ends] == [end.last for end in ends]
    assert f"after {read} rows, by `limoflow stop`" in (ends[-1].stopped or "")
    before = list(log.records)
    for later in (run, stopped(run)):
        worker.announce(later)
        worker.drain()
        Worker(log, later, clock, batch_rows=BATCH).drain()
    assert log.records == before


@pytest.mark.parametrize("crash", ["before commit", "after commit"])
def test_a_crash_at_the_end_ends_it_no_other_way(tmp_path: Path, crash: str) -> None:
    run = run_over(tmp_path)
    log, clock = Log(), Clock()
    worker = Worker(log, run, clock, batch_rows=BATCH)
    worker.step()
    worker.announce(stopped(run))
    with pytest.raises(Crash):
        worker.step(crash)
    Worker(log, stopped(run), clock, batch_rows=BATCH).drain()
    (end,) = log.window_ends()
    assert (end.rows, end.last, len(log.samples())) == (BATCH, True, BATCH)


class Out:
    """A store that never answers."""

    def units(self, source: object) -> list[Unit]:
        raise DependencyUnavailable("the store does not answer")

    def rows(self, unit: Unit, source: object, position: int, number: int) -> list[Row]:
        raise AssertionError("nothing was listed")


def test_a_run_whose_source_is_out_needs_no_source_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.ingestor.task.source_kind", lambda name: Out())
    run = run_over(tmp_path)
    log = Log()
    worker = Worker(log, run, Clock(), batch_rows=BATCH)
    worker.drain()
    assert log.window_ends() == []
    worker.announce(stopped(run))
    worker.drain()
    (end,) = log.window_ends()
    assert (end.rows, end.last) == (0, True)
