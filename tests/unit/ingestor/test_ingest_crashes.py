from __future__ import annotations

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.headers import WINDOW, header_text
from schemas.run import Run
from schemas.topics import RAW
from tests.unit.ingestor.ingest_log import Clock, Crash, Log, Worker

BREAKS = st.lists(st.sampled_from([None, "before commit", "after commit", "restart", "not offered"]), max_size=30)
WINDOWS = st.sampled_from(["all", {"count": 1}, {"count": 3}, {"count": 5}, {"count": 100}, {"seconds": 5}])


def lake(folder: Path, sizes: list[int]) -> None:
    for number, size in enumerate(sizes):
        rows = [json.dumps({"question": f"q{number}.{row}", "answer": "a"}) for row in range(size)]
        if size > 2:
            rows[1] = "{broken"
        (folder / f"f{number}.jsonl").write_text("\n".join(rows) + "\n")


def make_run(folder: Path, window: object) -> Run:
    fields = {"instruction": "question", "response": "answer"}
    spec = {"name": "r", "sources": [{"path": f"{folder}/*.jsonl", "fields": fields}], "select": {"window": window}}
    return Run.model_validate({"run_id": "r", "spec": spec})


def survive(log: Log, run: Run, breaks: list[str | None], batch: int) -> None:
    clock = Clock()
    worker = Worker(log, run, clock, batch_rows=batch)
    for kind in breaks:
        clock.now += 2
        if kind == "restart":
            worker = Worker(log, run, clock, batch_rows=batch)
        elif kind == "not offered":
            list(worker.task.tick())
            worker.task.process([])
            worker.task.delivered({})
        else:
            try:
                worker.step(kind)
            except Crash:
                worker = Worker(log, run, clock, batch_rows=batch)
    worker.drain()


@settings(max_examples=120, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), WINDOWS, BREAKS, st.integers(1, 7))
def test_no_crash_loses_or_moves_a_row_and_every_end_covers_its_rows(
    sizes: list[int], window: object, breaks: list[str | None], batch: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        lake(Path(name), sizes)
        run = make_run(Path(name), window)
        calm, rough = Log(), Log()
        Worker(calm, run, Clock(), batch_rows=batch).drain()
        survive(rough, run, breaks, batch)

        if not isinstance(window, dict) or "seconds" not in window:
            assert rough.rows() == calm.rows()
        assert {row for row, _ in rough.rows()} == {row for row, _ in calm.rows()}
        assert len(rough.rows()) == len(calm.rows()), "a row has two windows"
        assert {letter.key for letter in rough.letters()} == {letter.key for letter in calm.letters()}
        ends = rough.window_ends()
        assert [end.last for end in ends] == [False] * (len(ends) - 1) + [True]
        assert len({end.window for end in ends}) == len(ends)
        assert {window for _, window in rough.rows()} <= {end.window for end in ends}
        for end in ends:
            assert end.rows == sum(1 for _, number in rough.rows() if number == end.window)
            for record in rough.of(RAW):
                if header_text(record.headers, WINDOW) == str(end.window):
                    assert end.end_offsets[str(record.partition)] > record.offset


def test_an_end_is_the_offset_after_a_row_never_after_a_control_record(tmp_path: Path) -> None:
    lake(tmp_path, [7])
    log, run = Log(), make_run(tmp_path, "all")
    worker = Worker(log, run, Clock(), batch_rows=3)
    worker.step()
    try:
        worker.step("after commit")
    except Crash:
        Worker(log, run, Clock(), batch_rows=3).drain()
    (end,) = log.window_ends()
    assert end.last
    rows = {(str(record.partition), record.offset + 1) for record in log.of(RAW)}
    assert set(end.end_offsets.items()) <= rows
