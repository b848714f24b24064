from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.errors import ExportError
from limoflow.release_rows import RowPatience, earlier_turns, rows_of
from schemas.sample import Message
from tests.unit.exporter.exporter_cases import SAMPLES, Log, a_release, a_sample, log_of, row_record

RELEASE = a_release(SAMPLES)
OTHER = a_release(SAMPLES[:3], seed=9)
AT_ONCE = RowPatience(attempts=1)


@given(st.permutations(range(7)), st.lists(st.integers(0, 6), max_size=10))
def test_rows_stand_in_the_order_of_the_manifest_whatever_the_order_and_repeats_of_the_log(order, repeats):
    log = Log([row_record(SAMPLES[index], RELEASE, offset) for offset, index in enumerate([*order, *repeats])])
    assert rows_of(RELEASE, log) == SAMPLES


def test_of_two_records_of_one_row_the_smaller_bytes_stand_in_either_order():
    first, second = a_sample(0, note="a"), a_sample(0, note="b")
    release = a_release([first])
    one = Log([row_record(first, release), row_record(second, release)])
    two = Log([row_record(second, release), row_record(first, release)])
    assert rows_of(release, one) == rows_of(release, two) == [first]


def test_a_row_of_another_release_or_with_another_text_does_not_count():
    changed = SAMPLES[1].model_copy(update={"response": "something else"})
    log = Log([row_record(sample, RELEASE) for sample in [SAMPLES[0], changed, *SAMPLES[3:]]])
    log.records.append(row_record(SAMPLES[2], OTHER))
    with pytest.raises(ExportError, match=r"2 of 7 rows .*id-001, id-002;"):
        rows_of(RELEASE, log, patience=AT_ONCE)


def test_many_missing_rows_are_counted_and_the_first_are_named():
    with pytest.raises(ExportError, match=r"7 of 7 .*id-000, id-001, id-002, id-003, id-004 and 2 more"):
        rows_of(RELEASE, Log(), patience=AT_ONCE)


def test_the_topic_is_read_from_a_little_before_the_release_and_no_further():
    log = log_of(RELEASE, SAMPLES)
    rows_of(RELEASE, log, written_ms=1_000_500)
    assert log.reads == [940_500]


def test_rows_that_are_older_than_the_margin_are_found_in_the_whole_topic():
    log = Log([row_record(sample, RELEASE, timestamp_ms=5) for sample in SAMPLES])
    assert rows_of(RELEASE, log, written_ms=9_000_000) == SAMPLES
    assert log.reads == [8_940_000, None]


def test_rows_that_come_late_are_waited_for():
    log, waits = Log(), []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        log.records = log_of(RELEASE, SAMPLES).records

    assert rows_of(RELEASE, log, pause=pause) == SAMPLES
    assert waits == [1.0]


def test_a_record_that_is_no_sample_is_named_as_missing_not_raised():
    log = log_of(RELEASE, SAMPLES)
    broken = row_record(SAMPLES[0], RELEASE)
    log.records[-1] = type(broken)(broken.topic, 0, 0, broken.key, b"{", broken.headers, broken.timestamp_ms)
    with pytest.raises(ExportError, match="id-000"):
        rows_of(RELEASE, log, patience=AT_ONCE)


def test_earlier_turns_leave_out_the_samples_own_turn():
    turns = [Message(role=role, content=role) for role in ("system", "user", "assistant", "user", "assistant")]
    chat = SAMPLES[0].model_copy(update={"messages": turns})
    assert [turn.role for turn in earlier_turns(chat)] == ["system", "user", "assistant"]
    assert earlier_turns(SAMPLES[0]) == []
