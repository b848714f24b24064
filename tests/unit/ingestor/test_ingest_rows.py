from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.stream.types import TopicPartition
from schemas.headers import header_text
from schemas.identity import content_hash, source_id
from schemas.run import Run, RunSpec, Source
from schemas.sample import Sample
from schemas.topics import RAW
from services.ingestor.files import fixed_root
from services.ingestor.rows import RowError, RowMapper
from services.ingestor.settings import IngestorSettings
from services.ingestor.task import Ingestor
from services.ingestor.texts import iter_texts
from tests.unit.ingestor.ingest_log import Clock, Log, Worker

ROWS = [{"question": f"问 {number}", "answer": f"a{number}", "deep": {"gold": str(number)}} for number in range(10)]
FIELDS = {"instruction": "question", "response": "answer", "reference.answer": "deep.gold"}


def run_of(*sources: dict[str, Any], window: Any = "all", state: str = "open", run_id: str = "r") -> Run:
    spec = {"name": "r", "sources": list(sources), "select": {"window": window}}
    return Run.model_validate({"run_id": run_id, "spec": spec, "state": state})


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = path.name
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if name.endswith(".jsonl"):
        path.write_text(lines)
    elif name.endswith(".jsonl.gz"):
        path.write_bytes(gzip.compress(lines.encode()))
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows))
    elif name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
    else:
        with path.open("w", newline="", encoding="utf-8") as stream:
            flat = [
                {"question": row["question"], "answer": row["answer"], "deep.gold": row["deep"]["gold"]} for row in rows
            ]
            writer = csv.DictWriter(stream, list(flat[0]))
            writer.writeheader()
            writer.writerows(flat)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.csv", "a.parquet"])
@pytest.mark.parametrize("batch", [1, 4, 100])
def test_every_format_gives_the_same_samples_wherever_a_batch_ends(tmp_path: Path, name: str, batch: int) -> None:
    write(tmp_path / name, ROWS)
    log = Log()
    source = {
        "path": str(tmp_path / name),
        "fields": FIELDS,
        "domain": "mathematics",
        "language": "zh",
        "licence": "MIT",
    }
    worker = Worker(log, run_of(source), Clock(), batch_rows=batch)
    worker.step()
    Worker(log, run_of(source), Clock(), batch_rows=batch).drain()
    samples = log.samples()
    assert [(one.instruction, one.response) for one in samples] == [(row["question"], row["answer"]) for row in ROWS]
    for number, sample in enumerate(samples):
        metadata = sample.metadata
        assert sample.id == source_id(f"0:{name}#{number}")
        assert sample.lineage.model_dump(exclude_unset=True) == {
            "run_id": "r", "window": 0, "source_ref": f"{name}#{number}", "versions": {"ingestor": "1"},
        }  # fmt: skip
        assert metadata.reference is not None
        assert metadata.reference.answer == str(number)
        assert (metadata.domain, metadata.language, metadata.licence) == ("mathematics", "zh", "MIT")
    record = log.of(RAW)[0]
    assert header_text(record.headers, "ce_id") == samples[0].id == (record.key or b"").decode()
    assert header_text(record.headers, "ce_contenthash") == content_hash(samples[0].instruction, samples[0].response)
    assert header_text(record.headers, "ce_type") == "io.limoflow.sample.v1"
    assert header_text(record.headers, "ce_runid") == "r"


def test_ids_depend_on_neither_the_run_nor_the_place_of_the_lake_and_sources_do_not_collide(tmp_path: Path) -> None:
    seen = []
    for place, run_id in (("here", "r1"), ("there", "r2")):
        for part in ("x", "y"):
            (tmp_path / place / part).mkdir(parents=True)
            write(tmp_path / place / part / "a.jsonl", ROWS)
        log = Log()
        paths = [{"path": str(tmp_path / place / part / "*.jsonl"), "fields": FIELDS} for part in ("x", "y")]
        Worker(log, run_of(*paths, run_id=run_id), Clock()).drain()
        seen.append({sample.id for sample in log.samples()})
    assert seen[0] == seen[1]
    assert len(seen[0]) == 20


def test_files_of_a_remote_store_are_read(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/lake/in/a.jsonl", json.dumps(ROWS[0]).encode())
    memory.pipe("/lake/in/_hidden.jsonl", b"{}")
    log = Log()
    Worker(log, run_of({"path": "memory://lake/**/*.jsonl", "fields": FIELDS}), Clock()).drain()
    assert [sample.lineage.source_ref for sample in log.samples()] == ["in/a.jsonl#0"]


def test_two_runs_take_turns(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", ROWS)
    source = {"path": str(tmp_path / "a.jsonl"), "fields": FIELDS}
    log = Log()
    worker = Worker(log, run_of(source, run_id="r1"), Clock(), batch_rows=2)
    worker.announce(run_of(source, run_id="r2"))
    worker.step()
    worker.step()
    assert {sample.lineage.run_id for sample in log.samples()} == {"r1", "r2"}


def test_a_followed_folder_gives_each_new_file_once_and_ends_when_the_run_closes(tmp_path: Path) -> None:
    source = {"path": str(tmp_path / "*.jsonl"), "fields": FIELDS, "follow": True, "settle_seconds": 5}
    log, clock = Log(), Clock()
    worker = Worker(log, run_of(source, window={"count": 10}), clock)
    assert not worker.step(), "an empty followed folder is waited for"
    write(tmp_path / "b.jsonl", ROWS)
    (tmp_path / "c.jsonl.part").write_text("{}")
    worker.drain()
    assert not log.samples(), "the size may still change"
    clock.now += 6
    worker.drain()
    assert len(log.samples()) == 10
    assert [(end.window, end.rows, end.last) for end in log.window_ends()] == [(0, 10, False)]
    write(tmp_path / "a.jsonl", ROWS[:3])
    worker.drain()
    clock.now += 6
    Worker(log, run_of(source, window={"count": 10}), clock).drain()
    clock.now += 6
    worker = Worker(log, run_of(source, window={"count": 10}), clock)
    worker.drain()
    clock.now += 6
    worker.drain()
    assert len(log.samples()) == 13
    worker.announce(run_of(source, window={"count": 10}, state="closing"))
    worker.drain()
    assert [(end.window, end.rows, end.last) for end in log.window_ends()] == [(0, 10, False), (1, 3, True)]


def test_closing_right_after_a_full_window_ends_the_run_with_an_empty_one(tmp_path: Path) -> None:
    source = {"path": str(tmp_path / "*.jsonl"), "fields": FIELDS, "follow": True, "settle_seconds": 0}
    log, clock = Log(), Clock()
    write(tmp_path / "a.jsonl", ROWS)
    worker = Worker(log, run_of(source, window={"count": 5}), clock).drain()
    worker.announce(run_of(source, window={"count": 5}, state="closing"))
    worker.drain()
    assert [(end.window, end.rows, end.last) for end in log.window_ends()] == [
        (0, 5, False),
        (1, 5, False),
        (2, 0, True),
    ]


def test_a_time_window_ends_when_its_time_is_over_though_nothing_comes(tmp_path: Path) -> None:
    source = {"path": str(tmp_path / "*.jsonl"), "fields": FIELDS, "follow": True, "settle_seconds": 0}
    log, clock = Log(), Clock()
    write(tmp_path / "a.jsonl", ROWS)
    worker = Worker(log, run_of(source, window={"seconds": 60}), clock).drain()
    assert not log.window_ends()
    clock.now += 61
    worker.drain()
    assert [(end.window, end.rows) for end in log.window_ends()] == [(0, 10)]


def test_a_worker_without_the_partition_of_runs_stands_by(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", ROWS)
    log = Log()
    worker = Worker(log, run_of({"path": str(tmp_path / "a.jsonl"), "fields": FIELDS}), Clock())
    worker.task.revoked([TopicPartition("runs", 0)])
    assert not worker.step()
    assert not list(Ingestor(IngestorSettings(), log).tick())


def test_a_batch_stays_within_its_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [{"question": "q" * 1000, "answer": "a"} for _ in range(20)])
    log = Log()
    fields = {"instruction": "question", "response": "answer"}
    worker = Worker(log, run_of({"path": str(tmp_path / "a.jsonl"), "fields": fields}), Clock(), batch_bytes=5000)
    worker.step()
    assert 0 < len(log.samples()) < 6


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        "instruction",
        "response",
        "id",
        "messages",
        "difficulty",
        "domain",
        "language",
        "reference",
        "metadata",
        "input",
        "x",
    ]
)


@given(st.dictionaries(NAMES, JSON), st.sampled_from([{}, {name: name for name in ("instruction", "response", "id")}]))
def test_what_is_admitted_is_a_sample(extra: dict[str, Any], fields: dict[str, str]) -> None:
    row = {"instruction": "q", "response": "a", **extra}
    mapper = RowMapper(Source(path="x", fields=fields), "1")
    try:
        identity, data = mapper.sample(row, mapper.texts(row), "id", "f#0", "f", "r", 3)
    except RowError:
        return
    sample = Sample.model_validate_json(data)
    assert sample.id == identity
    assert (sample.lineage.run_id, sample.lineage.window) == ("r", 3)


def test_a_whole_sample_keeps_its_id_and_unknown_fields_and_loses_another_runs_findings() -> None:
    row = {
        "id": "own", "instruction": "q", "response": "a", "note": {"kept": 1},
        "metadata": {
            "domain": "code", "colour": "red", "filtering": {"selected": True, "reason": "x"},
            "lineage": {"run_id": "old", "window": 9, "source_ref": "z", "parent": "p"},
        },
    }  # fmt: skip
    mapper = RowMapper(Source(path="x"), "1")
    _, data = mapper.sample(row, mapper.texts(row), "hash", "f#0", "f", "r", 0)
    sample = json.loads(data)
    assert (sample["id"], sample["note"]) == ("own", {"kept": 1})
    assert sample["metadata"]["colour"] == "red"
    assert "filtering" not in sample["metadata"]
    assert sample["metadata"]["lineage"]["run_id"] == "r"
    assert sample["metadata"]["lineage"]["parent"] == "p"


def test_the_usual_names_are_understood_and_a_dialogue_gives_its_last_turn() -> None:
    mapper = RowMapper(Source(path="x"), "1")
    assert mapper.texts({"instruction": "do", "input": "this", "output": "done"}) == ("do\n\nthis", "done")
    assert mapper.texts({"prompt": "p", "completion": "c"}) == ("p", "c")
    turns = [("user", "u1"), ("assistant", "a1"), ("user", "u2"), ("assistant", "a2")]
    messages = [{"role": role, "content": content} for role, content in turns]
    assert mapper.texts({"messages": messages}) == ("u2", "a2")


def test_an_empty_cell_says_nothing_and_an_input_goes_below_its_instruction() -> None:
    row = {"q": "Sort them.", "context": "3 1 2", "a": "1 2 3", "level": "", "area": ""}
    fields = {"instruction": "q", "input": "context", "response": "a", "difficulty": "level", "domain": "area"}
    mapper = RowMapper(Source(path="x", fields=fields, domain="lists"), "1")
    assert mapper.texts(row) == ("Sort them.\n\n3 1 2", "1 2 3")
    sample = Sample.model_validate_json(mapper.sample(row, mapper.texts(row), "id", "f#0", "f", "r", 0)[1])
    assert (sample.metadata.domain, sample.metadata.difficulty) == ("lists", None)
    assert mapper.texts({**row, "context": ""})[0] == "Sort them."


def test_iter_texts_gives_well_formed_rows_of_all_sources(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", ROWS[:2])
    (tmp_path / "b.jsonl").write_text('{"question": "q", "answer": "x"}\n{broken\n{"question": 1}\n')
    (tmp_path / "c.txt").write_text("x")
    sources = [{"path": str(tmp_path / "*"), "fields": FIELDS}, {"path": str(tmp_path / "none")}]
    spec = RunSpec.model_validate({"name": "r", "sources": sources})
    assert list(iter_texts(spec)) == [("问 0", "a0"), ("问 1", "a1"), ("q", "x")]


def test_the_fixed_root_is_what_comes_before_the_first_wildcard() -> None:
    assert fixed_root("/lake/gsm8k/*.jsonl") == "/lake/gsm8k"
    assert fixed_root("/lake/*/a.jsonl") == "/lake"
    assert fixed_root("/lake/a.jsonl") == "/lake"
