"""Sources that cannot be listed or read for now, or ever: who rests, who goes on, who is told."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from limoflow.errors import DependencyUnavailable
from limoflow.stream.dead_letters import read_dead_letter
from limoflow.stream.types import Record, TopicPartition
from schemas.run import Run, Source, TimeWindow
from schemas.topics import RUNS
from services.ingestor.files import Files
from services.ingestor.outages import SOURCE_OUT
from services.ingestor.preflight import check_sources
from services.ingestor.reading import RunReading
from services.ingestor.settings import IngestorSettings
from services.ingestor.sources import Row, SourceError, Unit
from services.ingestor.task import Ingestor
from tests.unit.ingestor.ingest_log import Clock, Log, Worker
from tests.unit.ingestor.test_ingest_bad_input import FIELDS, GOOD, jsonl, make_run

SECRET = "planted-secret-0123"
IMPOSSIBLE = ["s4://lake/*.jsonl", "s3://", "github://a/b", "http://[::1", "http://127.0.0.1:99999/x", "lake/**.jsonl"]


class Worked(Worker):
    """A worker of two runs, which notes what it counts."""

    def __init__(self, log: Log, runs: list[Run], clock: Clock, **settings: int) -> None:
        self.log, self.retried = log, list[str]()
        chosen = IngestorSettings(**{"scan_seconds": 0, **settings})
        self.task = Ingestor(chosen, log, clock, on_retry=self.retried.append)
        self.task.assigned([TopicPartition(RUNS, 0)])
        self.task.process([Record(RUNS, 0, at, run.run_id.encode(), run.to_bytes()) for at, run in enumerate(runs)])


class Out:
    """What stands for a store: it raises, or gives one file of rows and is out in the middle of it."""

    def __init__(self, rows: int = 0) -> None:
        self.rows_before, self.tries, self.is_out = rows, 0, True

    def units(self, source: Source) -> list[Unit]:
        if not self.rows_before:
            self.fail()
        return [Unit("a.jsonl", "a.jsonl", 1)]

    def rows(self, unit: Unit, source: Source, position: int, number: int) -> Iterator[Row]:
        for at in range(position, 10):
            if at >= self.rows_before:
                self.fail()
            yield Row(at, at + 1, {"question": f"q{at}", "answer": "a"}, b"")

    def fail(self) -> None:
        if self.is_out:
            self.tries += 1
            raise DependencyUnavailable(f"the store of 's3://lake' does not answer: Bearer {SECRET}")


def runs(tmp_path: Path) -> list[Run]:
    for at in range(30):
        (tmp_path / f"{at:02}.jsonl").write_bytes(jsonl(GOOD))
    sick = make_run({"path": "lake", "kind": "sick", "fields": FIELDS}).model_copy(update={"run_id": "a"})
    return [sick, make_run({"path": str(tmp_path), "fields": FIELDS}).model_copy(update={"run_id": "b"})]


def given(monkeypatch: pytest.MonkeyPatch, store: Out) -> None:
    monkeypatch.setattr("services.ingestor.task.source_kind", lambda name: store if name == "sick" else Files())


def test_a_run_whose_store_is_out_rests_longer_each_time_while_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, clock, log = Out(), Clock(), Log()
    given(monkeypatch, store)
    worker = Worked(log, runs(tmp_path), clock, batch_rows=1)
    with capture_logs() as lines:
        worker.drain()
        assert len(log.samples()) == 30
        assert store.tries == 1
        tried = []
        for _ in range(600):
            clock.now += 1
            if worker.step() or len(tried) < store.tries - 1:
                tried.append(int(clock.now - 1000))
    assert tried[:7] == [1, 3, 7, 15, 31, 63, 123]
    assert {later - earlier for earlier, later in pairwise(tried[6:])} == {60}
    assert worker.retried == [SOURCE_OUT] * store.tries
    assert 2 <= len(lines) <= 11, "the first time, then at most once a minute"
    assert {(line["log_level"], line["run_id"], line["error_class"]) for line in lines} == {
        ("warning", "a", "DependencyUnavailable")
    }
    assert "the store of 's3://lake' does not answer" in lines[0]["error"]
    assert SECRET not in json.dumps(lines)
    store.is_out = False
    clock.now += 60
    worker.drain()
    assert [end.run_id for end in log.window_ends()] == ["b", "a"]
    assert len(log.samples()) == 40


@pytest.mark.parametrize("batch", [2, 3, 100])
def test_after_an_outage_within_a_file_every_row_is_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    store, clock, log = Out(rows=5), Clock(), Log()
    given(monkeypatch, store)
    worker = Worked(log, runs(tmp_path), clock, batch_rows=batch)
    worker.drain()
    assert len(log.samples()) == 30 + 5 // batch * batch
    store.is_out = False
    assert not worker.step(), "it rests"
    clock.now += 1
    worker.drain()
    ids = [(record.key, record.value) for record in log.of("samples.raw")]
    assert len(ids) == len(set(ids)) == 40
    (end,) = [end for end in log.window_ends() if end.run_id == "a"]
    assert (end.rows, end.last) == (10, True)
    for record in log.of("samples.raw"):
        if b'"run_id":"a"' in (record.value or b""):
            assert end.end_offsets[str(record.partition)] > record.offset


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("path", IMPOSSIBLE)
def test_an_address_that_can_never_be_read_is_refused_at_once(path: str, follow: bool) -> None:
    log = Log()
    run = make_run({"path": path, "fields": FIELDS, "follow": follow})
    Worked(log, [run], Clock()).drain()
    (letter,) = log.letters()
    assert path in read_dead_letter(letter).error
    assert [end.last for end in log.window_ends()] == ([] if follow else [True])
    (problem,) = check_sources(run.spec)
    assert path in problem


def test_a_followed_source_that_cannot_be_listed_is_told_and_one_without_files_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, clock, log = make_run({"path": f"{tmp_path}/*.jsonl", "follow": True, "settle_seconds": 0}), Clock(), Log()
    worker = Worked(log, [run], clock)
    with capture_logs() as lines:
        worker.drain()
    assert not lines
    assert not worker.retried
    assert check_sources(run.spec) == []

    def refuse(*_: Any) -> Any:
        raise PermissionError(13, f"no credentials in http://me:{SECRET}@store")

    monkeypatch.setattr("services.ingestor.files._matches", refuse)
    with capture_logs() as lines:
        for _ in range(120):
            clock.now += 1
            worker.drain()
    assert len(lines) == 2
    assert "no credentials in http://***@store" in lines[0]["error"]
    assert worker.retried == [SOURCE_OUT] * 120
    assert not log.letters()
    (problem,) = check_sources(run.spec)
    assert "no credentials" in problem
    monkeypatch.undo()
    (tmp_path / "a.jsonl").write_bytes(jsonl({"question": "q", "response": "a"}))
    clock.now += 1
    worker.drain()
    assert len(log.samples()) == 1


@pytest.mark.parametrize("path", ["x.jsonl", "*.jsonl"])
def test_an_http_store_that_is_down_is_an_outage_and_not_an_empty_one(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(DependencyUnavailable, match="does not answer"):
            Files().units(Source(path=f"{address}/{path}"))
        with pytest.raises(DependencyUnavailable, match="does not answer"):
            list(Files().rows(Unit("x.jsonl", f"{address}/x.jsonl", 1), Source(path=f"{address}/{path}"), 0, 0))


def test_whatever_a_library_raises_is_the_sources_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("of a library")

    monkeypatch.setattr("services.ingestor.files._matches", fail)
    with pytest.raises(SourceError, match="of a library"):
        Files().units(Source(path="lake"))


def test_windows_of_next_to_no_time_are_counted_up(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(GOOD, GOOD))
    run, clock = make_run({"path": str(tmp_path), "fields": FIELDS}), Clock()
    select = run.spec.select.model_copy(update={"window": TimeWindow.model_construct(seconds=5e-324)})
    run = run.model_copy(update={"spec": run.spec.model_copy(update={"select": select})})
    settings, faults = IngestorSettings(batch_rows=1), list[SourceError]()
    reading = RunReading(run, {"files": Files()}, None, {}, settings, clock, "1", on_fault=faults.append)
    windows = []
    while (batch := reading.batch("open")) is not None and not batch.progress.finished:
        clock.now += 1
        windows.append(batch.progress.window)
    assert windows[0] == 0
    assert windows == sorted(set(windows))
