"""The audit must find what is missing, doubled or foreign, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from limoflow.audit import audit
from limoflow.errors import PoisonError
from limoflow.layer import Rejection, rejection_emit, sample_emit
from limoflow.stream.dead_letters import dead_letter
from limoflow.stream.types import Emit, Record
from schemas.identity import child_id
from schemas.sample import Lineage, Metadata, Sample
from schemas.topics import CANDIDATE, FINALIZED, RAW, SCORED

RUN_ID = "run-1"


class Log:
    """Records in memory."""

    def __init__(self, emits: Sequence[Emit]) -> None:
        self._records = [
            Record(emit.topic, 0, offset, emit.key, emit.value, emit.headers) for offset, emit in enumerate(emits)
        ]

    def read(self, topics: Sequence[str], *, since_ms: int | None = None) -> Iterator[Record]:
        return (record for record in self._records if record.topic in topics)


def sample(name: str, run_id: str = RUN_ID, response: str = "an answer") -> Sample:
    lineage = Lineage(run_id=run_id, window=0, source_ref=f"file#{name}")
    return Sample(id=name, instruction="a question", response=response, metadata=Metadata(lineage=lineage))


def entered(one: Sample) -> Emit:
    return sample_emit(RAW, one, "ingestor")


def finalized(one: Sample) -> Emit:
    return sample_emit(FINALIZED, one, "selector")


def refused(one: Sample, reason: str = "wrong") -> Emit:
    return rejection_emit(Rejection(one, reason), "verifier")


def dead(one: Sample, stage: str = "scorer") -> Emit:
    emit = entered(one)
    record = Record(emit.topic, 0, 0, emit.key, emit.value, emit.headers)
    return dead_letter(record, stage=stage, version="1", error=PoisonError("no"), attempts=1)


def test_every_sample_through_one_door_passes() -> None:
    a, b, c = sample("a"), sample("b"), sample("c")
    report = audit(Log([entered(a), entered(b), entered(c), finalized(a), refused(b), dead(c)]), RUN_ID)
    assert report.passed
    assert (report.admitted, report.finalized) == (3, 1)
    assert report.rejected == {"verifier/wrong": 1}
    assert report.dead_lettered == {"scorer": 1}


def test_a_sample_that_left_by_no_door_is_named() -> None:
    a, b = sample("a"), sample("b")
    report = audit(Log([entered(a), entered(b), finalized(a), sample_emit(SCORED, b, "scorer")]), RUN_ID)
    assert not report.passed
    assert report.missing == ["b"]


def test_one_sample_through_two_doors_is_named() -> None:
    a = sample("a")
    report = audit(Log([entered(a), finalized(a), refused(a)]), RUN_ID)
    assert report.doubled == ["a"]
    assert not report.passed


def test_a_sample_that_never_entered_is_named() -> None:
    report = audit(Log([finalized(sample("ghost"))]), RUN_ID)
    assert report.foreign == ["ghost"]


def test_children_enter_at_the_generator() -> None:
    child = sample(child_id("a", "generator", "1", 0))
    report = audit(Log([sample_emit(CANDIDATE, child, "generator")]), RUN_ID)
    assert report.missing == [child.id]


def test_rows_that_could_not_be_read_count_as_admitted_and_dead() -> None:
    row = Record(RAW, 0, 7, None, b"{broken")
    letter = dead_letter(
        row, stage="ingestor", version="1", error=PoisonError("no"), attempts=1, run_id=RUN_ID, sample_id="x"
    )
    report = audit(Log([letter]), RUN_ID)
    assert report.passed
    assert (report.admitted, report.dead_lettered) == (1, {"ingestor": 1})


def test_another_run_is_not_mixed_in() -> None:
    mine, other = sample("a"), sample("a", run_id="run-2")
    report = audit(Log([entered(mine), finalized(mine), entered(other), refused(other)]), RUN_ID)
    assert report.passed
    assert report.rejected == {}


def test_a_replayed_dead_letter_that_was_finalized_is_superseded_not_doubled() -> None:
    a = sample("a")
    report = audit(Log([entered(a), dead(a), finalized(a)]), RUN_ID)
    assert report.passed
    assert (report.superseded, report.finalized, report.dead_lettered) == (1, 1, {})


def test_a_second_content_of_one_id_is_superseded_not_doubled() -> None:
    report = audit(Log([entered(sample("a")), finalized(sample("a")), refused(sample("a", response="other"))]), RUN_ID)
    assert report.passed
    assert report.superseded == 1


@given(st.data())
def test_repeats_and_order_change_no_count(data: st.DataObject) -> None:
    names = [f"s{number}" for number in range(8)]
    doors = [data.draw(st.sampled_from([finalized, refused, dead])) for _ in names]
    emits = [entered(sample(name)) for name in names]
    emits += [door(sample(name)) for name, door in zip(names, doors, strict=True)]
    plain = audit(Log(emits), RUN_ID)
    shuffled = data.draw(st.permutations(emits + data.draw(st.lists(st.sampled_from(emits), max_size=6))))
    mixed = audit(Log(shuffled), RUN_ID)
    assert plain.passed
    assert mixed.passed
    assert (mixed.admitted, mixed.finalized, mixed.rejected, mixed.dead_lettered) == (
        plain.admitted,
        plain.finalized,
        plain.rejected,
        plain.dead_lettered,
    )
