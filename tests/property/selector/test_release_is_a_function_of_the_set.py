"""G3 and G1 through both levels: order, repeats, partitions, restarts and compaction change nothing."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from random import Random

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limoflow.layer import Rejection, read_sample, rejection_emit, sample_emit
from limoflow.stream.types import Emit, Record, TopicPartition
from schemas.run import Run
from schemas.sample import Sample
from schemas.topics import FINALIZED, POOL, REJECTED, RELEASES, RUNS, SCORED, WINDOWS
from schemas.window import WindowEnd
from services.selector.app import select_file
from services.selector.merge import Merge
from services.selector.pools import PartitionPools
from services.selector.settings import SelectorSettings
from services.selector.strategies.registry import known_strategies

PLACE = ("run", 0)
WORDS = ["red", "blue", "seven", "apples", "each", "day", "costs", "then", "total", "sum", "is", "of", "and", "train"]
CHINESE = "小明有三个苹果每天吃一共多少元火车开出"


GREEDY = {"max_cosine": 0.8}
DIVERSITIES = [GREEDY, *({"strategy": name} for name in known_strategies())]


def run_of(
    reservoir: int, target: int = 6, run_id: str = "run", seed: int = 3, diversity: dict = GREEDY, **more: object
) -> Run:
    select = {"reservoir": reservoir, "target": target, "diversity": diversity, **more}
    spec = {"name": "x", "seed": seed, "sources": [{"path": "x"}], "select": select}
    return Run.model_validate({"run_id": run_id, "spec": spec, "models": {"ifd": "m"}})


def sample_of(number: int, seed: int, run_id: str = "run", variant: int = 0) -> Sample:
    """Make a sample; variants of one number share the id and say something else, perhaps in another stratum."""
    random = Random(f"{number}/{seed}/{variant}")
    family = random.randrange(30)
    text = Random(family).choices(WORDS if family % 3 else CHINESE, k=14)
    vector = np.random.default_rng(random.randrange(10)).standard_normal(6)
    vector /= np.linalg.norm(vector)
    evaluations = {"instruction_complexity": random.choice([0.1, 0.5, 0.9, None])}
    assessment = {
        "answer_match": random.choice([random.random(), None, 0.5]),
        "ifd_score": random.choice([random.random(), None]),
        "embedding": {"model": "e", "dimensions": 6, "data": base64.b64encode(vector.astype("<f2").tobytes()).decode()},
    }
    return Sample.model_validate(
        {
            "id": f"id|{number}",
            "instruction": " ".join(text) + (f" {random.randrange(3)}" if random.random() < 0.7 else ""),
            "response": " ".join(random.choices(text, k=8)),
            "metadata": {
                "domain": random.choice(["a", "b"]),
                "difficulty": random.choice(["easy", "hard"]),
                "evaluations": evaluations,
                "advanced_assessment": assessment,
                "lineage": {"run_id": run_id, "window": 0, "source_ref": f"f:{number}", "versions": {"v": "1"}},
            },
        }
    )


class Drained:
    """Every group has read everything."""

    def committed(self, group: str, topic: str) -> dict[int, int]:
        return {0: 10}

    def ends(self, topic: str) -> dict[int, int]:
        return {0: 10}

    def starts(self, topic: str) -> dict[int, int]:
        return {0: 0}


@dataclass
class Stream:
    """Both levels over logs in memory; `random` decides when what restarts."""

    random: Random
    runs: list[Run]
    partitions: int
    settings: SelectorSettings = field(default_factory=lambda: SelectorSettings(chunk=7))
    restarts: bool = True
    pool: list[Record] = field(default_factory=list)
    out: list[Emit] = field(default_factory=list)
    committed: int = 0
    releases: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.announced = [Record(RUNS, 0, i, b"", run.to_bytes()) for i, run in enumerate(self.runs)]
        self.ends: list[Record] = []
        self.first = self._first()
        self.second = self._second()

    def _first(self) -> PartitionPools:
        task = PartitionPools(self.settings)
        task.observe(self.announced + self.releases)
        task.assigned([TopicPartition(topic, i) for topic in (SCORED, REJECTED) for i in range(self.partitions)])
        return task

    def _second(self) -> Merge:
        task = Merge(self.settings, Drained(), clock=iter(range(10**9)).__next__)
        task.assigned([TopicPartition(POOL, i) for i in range(4)])
        task.observe(self.announced + self.ends + self.releases)
        restored = self.pool[: self.committed]
        if self.random.random() < 0.5:
            newest = {record.key: record for record in self.pool}
            restored = [record for record in restored if newest[record.key] is record]
        task.restore(restored)
        return task

    def _write(self, emits: list[Emit]) -> None:
        for emit in emits:
            if emit.topic == POOL:
                record = Record(POOL, emit.partition, len(self.pool), emit.key, emit.value, emit.headers)
                self.pool.append(record)
            else:
                self.out.append(emit)
            if emit.topic == RELEASES:
                self.releases.append(Record(RELEASES, 0, 0, emit.key, emit.value))
                for task in (self.first, self.second):
                    task.observe(self.releases[-1:])

    def feed(self, record: Record) -> None:
        if self.restarts and self.random.random() < 0.05:
            self.first = self._first()
        self._write(list(self.first.process([record])))
        if self.random.random() < 0.3:
            self.merge()

    def merge(self) -> None:
        if self.restarts and self.random.random() < 0.1:
            self.second = self._second()
        batch = self.pool[self.committed :][: self.random.randrange(1, 40)]
        self._write(list(self.second.process(batch)))
        self.committed += len(batch)

    def close(self, crashes: int = 0) -> None:
        while self.committed < len(self.pool):
            self.merge()
        ends = [WindowEnd(run_id=run.run_id, window=0, rows=1, end_offsets={"0": 1}, last=True) for run in self.runs]
        self.ends = [Record(WINDOWS, 0, i, b"", end.to_bytes()) for i, end in enumerate(ends)]
        self.second.observe(self.ends)
        for _ in range(10_000):
            emits = list(self.second.tick())
            self._write(emits)
            if crashes and self.random.random() < 0.5:
                crashes -= 1
                self.second = self._second()
            if not emits and len(self.releases) >= len(self.runs):
                break
            while self.committed < len(self.pool):
                self.merge()

    def release(self, run_id: str = "run") -> bytes:
        found = {record.value for record in self.releases if orjson.loads(record.value)["run_id"] == run_id}
        assert len(found) == 1
        return found.pop()

    def doors(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        chosen: dict[str, set[str]] = {}
        refused: dict[str, set[str]] = {}
        for emit in self.out:
            if emit.topic in (FINALIZED, REJECTED):
                sample = read_sample(Record(emit.topic, 0, 0, emit.key, emit.value, emit.headers))
                side = chosen if emit.topic == FINALIZED else refused
                side.setdefault(sample.id, set()).add(sample.content_hash)
        return chosen, refused


def scored(sample: Sample, partition: int) -> Record:
    emit = sample_emit(SCORED, sample, "scorer")
    return Record(SCORED, partition, 0, emit.key, emit.value, emit.headers)


def rejected(sample: Sample, partition: int) -> Record:
    emit = rejection_emit(Rejection(sample, "wrong"), "verifier")
    return Record(REJECTED, partition, 0, emit.key, emit.value, emit.headers)


def stream(records: list[tuple[str, Sample]], random: Random, partitions: int, run: Run, **options: object) -> Stream:
    flow = Stream(random, [run], partitions, **options)
    for kind, sample in records:
        make = scored if kind == "scored" else rejected
        flow.feed(make(sample, hash_of(sample.id) % partitions))
    return flow


def hash_of(text: str) -> int:
    return sum(text.encode())


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    size=st.integers(0, 70),
    seed=st.integers(0, 10**6),
    shuffle=st.integers(0, 10**6),
    partitions=st.integers(1, 16),
    reservoir=st.integers(3, 40),
    sketch=st.sampled_from([5, 20, 1000]),
    crashes=st.integers(0, 3),
    diversity=st.sampled_from(DIVERSITIES),
    allocation=st.sampled_from(["available", "equal", "neyman"]),
)
def test_any_order_repeats_partitions_and_restarts_give_the_same_bytes(
    size: int,
    seed: int,
    shuffle: int,
    partitions: int,
    reservoir: int,
    sketch: int,
    crashes: int,
    diversity: dict,
    allocation: str,
) -> None:
    random = Random(seed)
    records = [("scored", sample_of(number, seed)) for number in range(size)]
    records += [("scored", sample_of(number, seed, variant=1)) for number in random.sample(range(size), size // 8)]
    records += [("rejected", sample_of(number + size, seed)) for number in range(size // 5)]
    records += [("rejected", sample_of(number, seed, variant=2)) for number in random.sample(range(size), size // 8)]
    run = run_of(reservoir, diversity=diversity, allocation=allocation, curriculum={"order": "baby_steps"})
    options = {"settings": SelectorSettings(chunk=7, sketch=sketch)}

    plain = stream(records, Random(0), 1, run, restarts=False, **options)
    plain.close()
    disturbed = records + Random(shuffle).choices(records, k=len(records) // 2 if records else 0)
    Random(shuffle).shuffle(disturbed)
    other = stream(disturbed, Random(shuffle), partitions, run, **options)
    other.close(crashes)

    assert other.release() == plain.release()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(size=st.integers(0, 80), seed=st.integers(0, 10**6), partitions=st.integers(1, 6), reservoir=st.integers(2, 40))
def test_every_scored_sample_leaves_by_one_door_and_the_funnel_adds_up(
    size: int, seed: int, partitions: int, reservoir: int
) -> None:
    records = [("scored", sample_of(number, seed)) for number in range(size)]
    records += [("rejected", sample_of(number + size, seed)) for number in range(size // 4)]
    Random(seed).shuffle(records)
    flow = stream(records + records[: size // 3], Random(seed), partitions, run_of(reservoir))
    flow.close(1)

    chosen, refused = flow.doors()
    assert chosen.keys() | refused.keys() == {f"id|{number}" for number in range(size)}
    assert not chosen.keys() & refused.keys()
    release = orjson.loads(flow.release())
    funnel = release["funnel"]
    assert funnel["finalized"] == len(release["rows"]) == len(chosen)
    assert funnel["scored"] == size
    assert funnel["admitted"] == size + size // 4
    assert funnel["admitted"] == funnel["finalized"] + sum(funnel["rejected"].values())
    assert release["shortfall"] == 6 - len(chosen)


@pytest.mark.parametrize("diversity", DIVERSITIES, ids=lambda it: it.get("strategy", "greedy"))
def test_no_strategy_depends_on_order_repeats_or_partitions(diversity: dict) -> None:
    records = [("scored", sample_of(number, 11)) for number in range(60)]
    run = run_of(25, target=12, diversity=diversity)
    plain = stream(records, Random(0), 1, run, restarts=False)
    plain.close()
    disturbed = Random(5).sample([*records, *records[:30]], 90)
    other = stream(disturbed, Random(5), 7, run)
    other.close(2)
    assert other.release() == plain.release()
    assert orjson.loads(plain.release())["rows"]


def test_two_runs_at_once_release_what_each_releases_alone() -> None:
    runs = [run_of(10), run_of(15, target=4, run_id="other", seed=9)]
    samples = {run.run_id: [sample_of(number, 5, run_id=run.run_id) for number in range(40)] for run in runs}
    both = Stream(Random(1), runs, 3)
    for pair in zip(*samples.values(), strict=True):
        for sample in pair:
            both.feed(scored(sample, hash_of(sample.id) % 3))
    both.close()
    for run in runs:
        alone = Stream(Random(2), [run], 1)
        for sample in samples[run.run_id]:
            alone.feed(scored(sample, 0))
        alone.close()
        assert alone.release(run.run_id) == both.release(run.run_id)


def test_late_repeats_of_a_closed_window_change_nothing_and_newcomers_are_refused() -> None:
    records = [("scored", sample_of(number, 4)) for number in range(30)]
    flow = stream(records, Random(4), 2, run_of(40), restarts=False)
    flow.close()
    chosen, _ = flow.doors()
    before = len(flow.out)
    for sample_id in chosen:
        sample = next(it for _, it in records if it.id == sample_id)
        flow.feed(scored(sample, 0))
    assert len(flow.out) == before
    flow.feed(scored(sample_of(99, 4), 0))
    late = orjson.loads(flow.out[-1].value)
    assert (flow.out[-1].topic, late["metadata"]["filtering"]["reason"]) == (REJECTED, "window_closed")
    assert len(flow.releases) == 1


def test_the_pool_of_a_released_window_is_tombstoned() -> None:
    flow = stream([("scored", sample_of(number, 4)) for number in range(30)], Random(4), 2, run_of(8))
    flow.close()
    newest = {record.key: record.value for record in flow.pool}
    assert newest
    assert set(newest.values()) == {None}


def test_an_empty_window_gives_an_empty_release() -> None:
    flow = Stream(Random(0), [run_of(8)], 1)
    flow.close()
    release = orjson.loads(flow.release())
    assert (release["rows"], release["shortfall"], release["funnel"]["admitted"]) == ([], 6, 0)


def test_samples_of_an_unknown_run_wait_for_it() -> None:
    run = run_of(8)
    early = Stream(Random(0), [], 1, restarts=False)
    for number in range(30):
        early.feed(scored(sample_of(number, 7), 0))
    early.merge()
    early.runs = [run]
    early.announced = [Record(RUNS, 0, 0, b"", run.to_bytes())]
    early.first.observe(early.announced)
    early.second.observe(early.announced)
    early._write(list(early.second.tick()))
    early.close()
    known = stream([("scored", sample_of(number, 7)) for number in range(30)], Random(0), 1, run)
    known.close()
    assert early.release() == known.release()


@pytest.mark.parametrize("shuffle", range(3))
def test_file_to_file_chooses_what_the_stream_chooses(shuffle: int) -> None:
    samples = [sample_of(number, 8) for number in range(60)]
    run = run_of(9)
    flow = stream([("scored", sample) for sample in samples], Random(1), 3, run)
    flow.close()
    Random(shuffle).shuffle(samples)
    result = select_file(samples, run)
    assert [it.id for it in result.passed] == [row["id"] for row in orjson.loads(flow.release())["rows"]]
    assert {it.id for it in result.passed} | {it.sample.id for it in result.rejected} == {it.id for it in samples}
