"""Events from the future: refused by name with their bytes, or left unread; never taken for what they are not (G7)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from limoflow.errors import InvariantBroken, PoisonError
from limoflow.layer import read_sample
from limoflow.progress_of import runs_of
from limoflow.runs import RunRegistry
from limoflow.stream.dead_letters import read_dead_letter, replay
from limoflow.stream.local import LocalTransport
from limoflow.stream.types import Emit, Record
from limoflow.versions import check_version
from schemas.export_json import EXAMPLES
from schemas.headers import event_headers
from schemas.run import Run
from schemas.sample import Sample
from schemas.topics import RELEASES, RUNS, SCORED, WINDOWS, topics
from services.exporter.task import read_release as exporters
from services.ingestor.rows import RowError, RowMapper
from services.selector.merge import read_end
from services.selector.pools import PartitionPools
from services.selector.released import Released
from services.selector.settings import SelectorSettings
from services.trainer.task import read_release as trainers

NAMES = {"window_end": WINDOWS, "release": RELEASES, "run": RUNS, "sample": SCORED}


def record(name: str, version: int = 2, topic: str | None = None, **changes: Any) -> Record:
    """An event as a producer of that version would send it: this version's fields, and others."""
    fields = json.loads((EXAMPLES / f"{name}.v1.json").read_text(encoding="utf-8")) | {"of_tomorrow": 1} | changes
    headers = event_headers(f"{name}.v{version}", "id", "somebody", runid="r", window=0)
    return Record(topic or NAMES[name], 0, 7, b"key", json.dumps(fields).encode(), headers)


READERS: dict[str, tuple[Callable[[Record], Any], type[Exception]]] = {
    "sample": (read_sample, PoisonError),
    "release": (exporters, PoisonError),
    "window_end": (read_end, InvariantBroken),
}


@pytest.mark.parametrize("name", READERS)
def test_an_event_of_the_next_major_version_is_refused_by_its_name_and_one_of_this_version_is_read(name: str) -> None:
    read, error = READERS[name]
    with pytest.raises(error) as refused:
        read(record(name))
    for word in (f"{NAMES[name]}[0]@7", f"io.limoflow.{name}.v2", f"{name}.v1", "upgrade this service", "dlq replay"):
        assert word in str(refused.value)
    assert read(record(name, version=1)).model_extra == {"of_tomorrow": 1}


def test_the_trainer_refuses_a_release_of_the_future_too() -> None:
    with pytest.raises(PoisonError, match=r"release\.v2"):
        trainers(record("release"))


def test_every_topic_reads_the_versions_that_topics_yaml_names_and_no_other() -> None:
    for name, topic in topics().items():
        for version in range(1, 4):
            made = record("sample", version, topic=name)
            if version in topic.versions:
                check_version(made)
            else:
                with pytest.raises(PoisonError):
                    check_version(made)
    check_version(Record("samples.raw", 0, 0, b"k", b"{}"))


def test_a_sample_whose_body_says_a_later_major_is_refused_and_one_of_a_later_minor_keeps_its_new_fields() -> None:
    metadata = json.loads((EXAMPLES / "sample.v1.json").read_text(encoding="utf-8"))["metadata"]
    with pytest.raises(PoisonError, match=r"schema_version '2\.0' is not one that this code reads \(1\.x\)"):
        read_sample(record("sample", 1, metadata={**metadata, "schema_version": "2.0"}))
    later = read_sample(record("sample", 1, metadata={**metadata, "schema_version": "1.9", "hue": "red"}))
    assert (later.model_extra, later.metadata.model_extra) == ({"of_tomorrow": 1}, {"hue": "red"})


def test_the_selector_dead_letters_a_sample_of_the_future_whole_and_replay_sends_it_through_again() -> None:
    sent = record("sample")
    letter = next(iter(PartitionPools(SelectorSettings()).process([sent])))
    assert letter.topic == "dlq.selector"
    kept = Record(letter.topic, 0, 0, letter.key, letter.value, letter.headers)
    assert "sample.v2" in read_dead_letter(kept).error
    assert replay(kept) == Emit(SCORED, sent.key, sent.value, sent.headers)


def test_a_row_that_is_a_sample_of_the_future_is_refused() -> None:
    row = json.loads((EXAMPLES / "sample.v1.json").read_text(encoding="utf-8"))
    row["metadata"]["schema_version"] = "2.0"
    run = Run.model_validate_json((EXAMPLES / "run.v1.json").read_bytes())
    mapper = RowMapper(run.spec.sources[0].model_copy(update={"fields": {}}), "1")
    with pytest.raises(RowError, match=r"schema_version '2\.0'.*upgrade"):
        mapper.sample(row, mapper.texts(row), "id", "a#0", "a", "r", 0)
    row["metadata"]["schema_version"] = "1.3"
    _, data = mapper.sample(row, mapper.texts(row), "id", "a#0", "a", "r", 0)
    assert Sample.model_validate_json(data).metadata.schema_version == "1.3"


def test_services_pass_over_a_run_of_the_future_and_keep_what_they_knew() -> None:
    """The ingestor refuses it (tests/unit/ingestor/test_tenants.py), so no sample of it comes."""
    known, later = record("run", 1), record("run", 2, run_id="of-tomorrow")
    registry = RunRegistry()
    registry.observe([known, later])
    assert [run.run_id for run in registry.all()] == ["gsm8k-small-1"]
    transport = LocalTransport()
    transport.ensure_topics()
    transport.send([Emit(RUNS, one.key, one.value, one.headers) for one in (known, later)])
    transport.send([Emit(RUNS, b"broken", b"{}")])
    assert list(runs_of(transport)) == ["gsm8k-small-1"]


@pytest.mark.parametrize(
    "kind", ["run.v2.0", "run.v-1", "run.v2-beta", "run.V2", "run.v 2", "run.v01", "run.v²", "run.v٢", "run.v1 ", "run",
             "run.v", ".v1", "run.v10000", "run.v" + "1" * 5_000, "run.v1\n", ""],
)  # fmt: skip
def test_only_v_and_a_number_is_a_version_and_nothing_else_ends_who_reads_the_topic(kind: str) -> None:
    headers = (("ce_type", f"io.limoflow.{kind}".encode()),)
    run = (EXAMPLES / "run.v1.json").read_bytes()
    with pytest.raises(PoisonError, match=r"runs\[0\]@7 is of type"):
        check_version(Record(RUNS, 0, 7, b"k", run, headers))
    registry = RunRegistry()
    registry.observe([Record(RUNS, 0, 7, b"k", run, headers)])
    assert registry.all() == []
    registry.observe([Record(RUNS, 0, 8, b"k", run, event_headers("run.v1", "id", "cli"))])
    assert len(registry.all()) == 1


@pytest.mark.parametrize("broken", [record("release"), Record(RELEASES, 0, 7, b"k", b'{"rows": []}')])
def test_a_release_that_cannot_be_read_ends_the_selector_by_name_since_its_window_would_be_released_again(
    broken: Record,
) -> None:
    with pytest.raises(InvariantBroken, match="releases@7 is no release"):
        Released().observe([broken])
    assert Released().observe([record("release", version=1)])
