"""The two tasks one by one: what they write for bad input, full reservoirs, dead letters, and when they close."""

from __future__ import annotations

import json

import orjson
import pytest
from structlog.testing import capture_logs

from limoflow.errors import PoisonError
from limoflow.layer import sample_emit
from limoflow.stream.dead_letters import dead_letter, read_dead_letter
from limoflow.stream.types import Emit, Record, TopicPartition
from schemas.release import Release
from schemas.run import Run
from schemas.sample import Sample
from schemas.topics import POOL, REJECTED, RELEASES, RUNS, SCORED, WINDOWS
from schemas.window import WindowEnd
from services.selector.drained import CHAIN
from services.selector.explain import refused
from services.selector.merge import Merge
from services.selector.pools import PartitionPools
from services.selector.records import PoolKey, pool_partition
from services.selector.refusals import is_tidy, marked, refused_emit
from services.selector.settings import SelectorSettings


def run_record(reservoir: int = 2) -> Record:
    spec = {"name": "x", "sources": [{"path": "x"}], "select": {"reservoir": reservoir}}
    run = Run.model_validate({"run_id": "r", "spec": spec})
    return Record(RUNS, 0, 0, b"r", run.to_bytes())


def scored(number: int, **metadata: object) -> Record:
    lineage = {"run_id": "r", "window": 0, "source_ref": f"f:{number}"}
    sample = Sample.model_validate(
        {"id": str(number), "instruction": "q", "response": f"a{number}", "metadata": {"lineage": lineage, **metadata}}
    )
    return as_record(sample_emit(SCORED, sample, "scorer"))


def as_record(emit: Emit, offset: int = 0) -> Record:
    return Record(emit.topic, emit.partition or 0, offset, emit.key, emit.value, emit.headers)


class Positions:
    """Positions that the test sets."""

    def __init__(self) -> None:
        self.behind: str | None = None
        self.asked = 0

    def committed(self, group: str, topic: str) -> dict[int, int]:
        self.asked += 1
        return {0: 0 if topic == self.behind else 5}

    def ends(self, topic: str) -> dict[int, int]:
        return {0: 5}

    def starts(self, topic: str) -> dict[int, int]:
        return {0: 0}


def pools() -> PartitionPools:
    task = PartitionPools(SelectorSettings())
    task.observe([run_record()])
    task.assigned([TopicPartition(SCORED, 0)])
    return task


def merging(positions: Positions, **options: object) -> Merge:
    task = Merge(SelectorSettings(**options), positions, clock=iter(range(10**6)).__next__)
    task.assigned([TopicPartition(POOL, partition) for partition in range(4)])
    return task


def test_what_the_local_pool_refuses_is_rejected_with_key_and_bound_and_counted() -> None:
    emits = list(pools().process([scored(number) for number in range(30)]))
    refused = [orjson.loads(it.value)["metadata"]["filtering"] for it in emits if it.topic == REJECTED]
    assert refused
    assert all(why["reason"] == "reservoir_full" and why["value"] > why["bound"] for why in refused)
    kinds = [PoolKey.decode(it.key).kind for it in emits if it.topic == POOL]
    assert kinds.count("r") == len(refused)
    assert kinds.count("s") + len(refused) == 30
    assert {it.partition for it in emits if it.topic == POOL} == {pool_partition("r")}


OWN = {"run_id": "r", "window": 0, "source_ref": "f:1"}
DECOY = {"lineage": {"run_id": "decoy", "window": 9, "source_ref": "d"}}


@pytest.mark.parametrize(
    "whole",
    [
        {"metadata": {"lineage": OWN}},
        {"metadata": {"colour": "blue", "difficulty": None, "lineage": {**OWN, "versions": {"scorer": "1"}}}},
        {"metadata": {"lineage": OWN}, "later": DECOY},
        {"metadata": {"lineage": OWN, "later": DECOY}},
        {"metadata": {"lineage": {**OWN, **DECOY}}},
        {"metadata": {"lineage": {**OWN, "deeper": DECOY}}},
        {"metadata": {"filtering": {"selected": True, "reason": "once"}, "lineage": OWN}},
        {"metadata": {"filtering": None, "lineage": OWN}},
        {"metadata": {"lineage": OWN, "domain": "x"}, "instruction": 'say ,"lineage":{"run_id":"x"}}}'},
        {"metadata": {"lineage": OWN, '"lineage': DECOY}},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_a_refused_sample_reads_the_same_whether_or_not_the_model_was_built(
    whole: dict[str, object], indent: int | None
) -> None:
    data = json.dumps({"id": "1", "instruction": "q", "response": "a", **whole}, indent=indent)
    for text in (data, orjson.dumps(orjson.loads(data)).decode()):
        sample = Sample.model_validate_json(text)
        why = refused("outranked", value=0.25, bound=0.5, score_parts={"ifd": 0.1})
        slow = sample_emit(REJECTED, marked(sample, why.filtering()), "selector", reason=why.reason)
        tidy = is_tidy(sample.model_fields_set, sample.metadata.model_fields_set)
        fast = refused_emit(text.encode(), sample.id, sample.content_hash, why, tidy=tidy)
        assert (fast.topic, fast.key, dict(fast.headers)) == (slow.topic, slow.key, dict(slow.headers))
        assert orjson.loads(fast.value) == orjson.loads(slow.value)


def test_a_repeat_is_passed_on_once() -> None:
    task = pools()
    assert len(list(task.process([scored(1)]))) == 1
    assert list(task.process([scored(1), scored(1)])) == []


def test_unreadable_bytes_are_dead_lettered_and_counted_where_their_window_is_known() -> None:
    whole = scored(1)
    broken = Record(SCORED, 0, 3, b"1", b"\xff{", whole.headers)
    letter, counted = pools().process([broken])
    assert (letter.topic, letter.value) == ("dlq.selector", b"\xff{")
    assert PoolKey.decode(counted.key)[:4] == ("r", 0, "d", "1")
    nested = Record(SCORED, 0, 4, b"2", b'{"id":' + b"[" * 10_000, ())
    assert [it.topic for it in pools().process([nested])] == ["dlq.selector"]


def test_nan_is_stored_as_null() -> None:
    record = scored(1)
    value = record.value.replace(b'"lineage"', b'"advanced_assessment":{"answer_match":NaN},"lineage"')
    (emit,) = pools().process([Record(SCORED, 0, 0, record.key, value, record.headers)])
    assert orjson.loads(emit.value)["metadata"]["advanced_assessment"]["answer_match"] is None


def test_dead_letters_of_earlier_stages_are_counted() -> None:
    letter = dead_letter(scored(4), stage="scorer", version="1", error=PoisonError("x"), attempts=1)
    (emit,) = pools().process([as_record(letter)])
    assert PoolKey.decode(emit.key)[2:4] == ("d", "4")
    (broken,) = pools().process([Record("dlq.scorer", 0, 0, b"4", b"x", ())])
    assert broken.topic == "dlq.selector"


def test_own_rejections_are_not_read_again() -> None:
    rejection = next(it for it in pools().process([scored(i) for i in range(9)]) if it.topic == REJECTED)
    assert list(pools().process([as_record(rejection)])) == []


def test_what_the_merged_reservoir_gives_up_is_rejected_and_tombstoned() -> None:
    forwarded: list[Emit] = []
    for number in range(9):
        forwarded += pools().process([scored(number)])  # nine partitions, each with room
    merge = merging(Positions())
    merge.observe([run_record()])
    emits = list(merge.process([as_record(it, i) for i, it in enumerate(forwarded)]))
    assert sum(it.topic == REJECTED for it in emits) == 7
    assert sum(it.topic == POOL and it.value is None for it in emits) == 7
    assert sum(it.topic == POOL and it.value is not None for it in emits) == 7


def _closed(task: Merge) -> bool:
    return any(it.topic == RELEASES for _ in range(3) for it in task.tick())


def test_a_window_closes_only_when_every_stage_has_passed_it() -> None:
    end = WindowEnd(run_id="r", window=0, rows=1, end_offsets={"0": 5}, last=True)
    topics = [topic for hop in CHAIN for topic in hop.topics]
    assert len(topics) == len(set(topics)) == 10
    for topic in topics:
        positions = Positions()
        positions.behind = topic
        task = merging(positions)
        task.observe([run_record(), Record(WINDOWS, 0, 0, b"r|0", end.to_bytes())])
        assert not _closed(task)
        positions.behind = None
        assert _closed(task)


def test_a_window_that_cannot_be_closed_holds_up_no_other_run_and_is_told_of() -> None:
    def of_run(run_id: str, **select: object) -> Run:
        spec = {"name": "x", "sources": [{"path": "x"}], "select": select}
        return Run.model_validate({"run_id": run_id, "spec": spec})

    runs = [of_run("bad", diversity={"strategy": "nothing"}), *(of_run(f"good-{number}") for number in range(8))]
    task = merging(Positions())
    task.observe([Record(RUNS, 0, number, run.run_id.encode(), run.to_bytes()) for number, run in enumerate(runs)])
    for run in runs:
        end = WindowEnd(run_id=run.run_id, window=0, rows=1, end_offsets={"0": 5}, last=True)
        task.observe([Record(WINDOWS, 0, 0, f"{run.run_id}|0".encode(), end.to_bytes(), timestamp_ms=7_000)])
    with capture_logs() as logs:
        emits = [emit for _ in range(40) for emit in task.tick()]
    released = {Release.model_validate_json(emit.value or b"").run_id for emit in emits if emit.topic == RELEASES}
    assert released == {run.run_id for run in runs[1:]}
    (told,) = [it for it in logs if it["log_level"] == "error"]
    assert (told["run_id"], told["window"]) == ("bad", 0)
    assert "select.diversity.strategy: 'nothing' is unknown" in told["error"]
    for emit in emits:
        if emit.topic == RELEASES:
            task.observe([as_record(emit)])
    assert task.oldest_end() == 7.0


def test_a_window_that_has_not_ended_is_not_closed_and_nobody_is_asked() -> None:
    positions = Positions()
    task = merging(positions)
    task.observe([run_record()])
    assert not _closed(task)
    assert positions.asked == 0


def test_positions_are_asked_for_no_more_often_than_allowed() -> None:
    positions = Positions()
    positions.behind = "samples.raw"
    now = [0.0]
    task = Merge(SelectorSettings(polls_per_second=5), positions, clock=lambda: now[0])
    task.assigned([TopicPartition(POOL, partition) for partition in range(4)])
    ends = [WindowEnd(run_id="r", window=i, rows=1, end_offsets={"0": 5}) for i in range(50)]
    task.observe([run_record(), *(Record(WINDOWS, 0, i, b"", end.to_bytes()) for i, end in enumerate(ends))])
    for _ in range(100):
        task.tick()
    assert positions.asked == 1
    now[0] += 0.2
    task.tick()
    assert positions.asked == 2


def test_another_workers_windows_are_left_alone() -> None:
    task = Merge(SelectorSettings(), Positions(), clock=iter(range(100)).__next__)
    task.assigned([TopicPartition(POOL, (pool_partition("r") + 1) % 4)])
    end = WindowEnd(run_id="r", window=0, rows=1, end_offsets={"0": 5})
    task.observe([run_record(), Record(WINDOWS, 0, 0, b"r|0", end.to_bytes())])
    assert not _closed(task)


def test_too_many_records_of_unknown_runs_become_dead_letters_of_what_was_scored() -> None:
    unknown = PartitionPools(SelectorSettings())
    unknown.assigned([TopicPartition(SCORED, 0)])
    forwarded = [as_record(it, i) for i, it in enumerate(unknown.process([scored(i) for i in range(5)]))]
    emits = list(merging(Positions(), unknown_run_records=3).process(forwarded))
    letters = [it for it in emits if it.topic == "dlq.selector"]
    assert [it.key for it in letters] == [b"3", b"4"]
    letter = read_dead_letter(as_record(letters[0]))
    assert (letter.topic, letter.sample_id) == (SCORED, "3")
    assert "'r'" in letter.error
