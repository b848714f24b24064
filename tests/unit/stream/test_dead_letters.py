"""A dead letter keeps what came, says why, and can go back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.errors import PoisonError
from limoflow.stream.dead_letters import MAX_ERROR_BYTES, dead_letter, read_dead_letter, replay
from limoflow.stream.types import Emit, Record

names = st.text(st.characters(codec="ascii", min_codepoint=97, max_codepoint=122), min_size=1, max_size=12)
headers = st.lists(st.tuples(names, st.binary(max_size=20)), max_size=5).map(tuple)


def received(emit: Emit, partition: int = 0, offset: int = 0) -> Record:
    return Record(emit.topic, partition, offset, emit.key, emit.value, emit.headers)


@given(
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=60),
    headers=headers,
    error=st.text(max_size=4000),
    attempts=st.integers(1, 9),
)
def test_any_record_survives_the_round_trip(
    key: bytes | None, value: bytes | None, headers: tuple[tuple[str, bytes], ...], error: str, attempts: int
) -> None:
    original = Record("samples.raw", 3, 99, key, value, headers)
    emit = dead_letter(original, stage="generator", version="2", error=ValueError(error), attempts=attempts)
    letter = read_dead_letter(received(emit))
    assert (letter.topic, letter.partition, letter.offset, letter.attempts) == ("samples.raw", 3, 99, attempts)
    assert (letter.stage, letter.stage_version, letter.error_class) == ("generator", "2", "ValueError")
    assert len(dict(emit.headers)["dlq_error"]) <= MAX_ERROR_BYTES
    assert replay(received(emit)) == Emit("samples.raw", key, value, headers)


def test_run_and_window_come_from_the_headers_unless_the_caller_knows_better() -> None:
    record = Record("t", 0, 1, b"id-1", b"x", (("ce_runid", b"r1"), ("ce_window", b"4")))
    plain = read_dead_letter(received(dead_letter(record, stage="s", version="1", error=ValueError(), attempts=1)))
    assert (plain.run_id, plain.window, plain.sample_id) == ("r1", 4, "id-1")
    known = dead_letter(
        record, stage="s", version="1", error=ValueError(), attempts=1, run_id="r2", window=0, sample_id="id-2"
    )
    letter = read_dead_letter(received(known))
    assert (letter.run_id, letter.window, letter.sample_id) == ("r2", 0, "id-2")


@pytest.mark.parametrize("key", [None, b"\xff\xfe"])
def test_a_record_without_a_readable_key_is_named_by_its_place(key: bytes | None) -> None:
    record = Record("t", 2, 8, key, b"x")
    letter = read_dead_letter(received(dead_letter(record, stage="s", version="1", error=ValueError(), attempts=1)))
    assert letter.sample_id == "t[2]@8"


def test_a_record_that_dies_twice_tells_of_its_last_death() -> None:
    record = Record("samples.verified", 0, 1, b"k", b"x", (("trace", b"1"),))
    first = dead_letter(record, stage="scorer", version="1", error=ValueError("one"), attempts=1)
    second = dead_letter(
        replace(received(first), topic="samples.verified"),
        stage="scorer",
        version="1",
        error=KeyError("two"),
        attempts=2,
    )
    assert read_dead_letter(received(second)).error_class == "KeyError"
    assert replay(received(second)).headers == (("trace", b"1"),)


def test_what_is_no_dead_letter_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(PoisonError, match="lacks the headers dlq_sampleid"):
        read_dead_letter(Record("t", 0, 1, b"k", b"x"))
    with pytest.raises(PoisonError, match="lacks the headers"):
        replay(Record("t", 0, 1, b"k", b"x"))


def test_mistyped_headers_are_refused() -> None:
    emit = dead_letter(Record("t", 0, 1, b"k", b"x"), stage="s", version="1", error=ValueError(), attempts=1)
    broken = tuple((name, b"many" if name == "dlq_attempts" else value) for name, value in emit.headers)
    with pytest.raises(PoisonError, match="broken headers"):
        read_dead_letter(Record("dlq.s", 0, 0, b"k", b"x", broken))


@pytest.mark.parametrize(
    ("topic", "stage"),
    [
        ("runs", "scorer"),
        ("releases", "scorer"),
        ("releases", "ingestor"),
        ("admissions", "ingestor"),
        ("windows", "selector"),
        ("dlq.scorer", "scorer"),
        ("dlq.ingestor", "selector"),
        ("no.topic", "scorer"),
    ],
)
def test_a_stage_reaches_no_topic_through_a_replay_that_it_dead_letters_nothing_of(topic: str, stage: str) -> None:
    forged = dead_letter(Record(topic, 0, 1, b"k", b"x"), stage="ingestor", version="1", error=ValueError(), attempts=1)
    with pytest.raises(PoisonError, match=rf"dlq\.{stage}\[0\]@0 says that it came from '{topic}'"):
        replay(replace(received(forged), topic=f"dlq.{stage}"))


@pytest.mark.parametrize(
    ("topic", "stage"),
    [("runs", "ingestor"), ("samples.raw", "generator"), ("samples.scored", "selector"), ("releases", "exporter")],
)
def test_what_a_stage_dead_letters_goes_back(topic: str, stage: str) -> None:
    emit = dead_letter(Record(topic, 0, 1, b"k", b"x"), stage=stage, version="1", error=ValueError(), attempts=1)
    assert replay(received(emit)) == Emit(topic, b"k", b"x", ())
