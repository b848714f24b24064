"""The small parts of the runtime."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limoflow.errors import DependencyUnavailable, UsageError
from limoflow.stream.job_thread import JobThread
from limoflow.stream.local import LocalTransport
from limoflow.stream.partitioner import murmur2, partition_of
from limoflow.stream.stage_engine import Delivered, StageEngine
from limoflow.stream.task_feed import TaskFeed
from limoflow.stream.types import Emit, Input, Record, TopicPartition
from limoflow.stream.watchdog import Watchdog


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # From UtilsTest.testMurmur2 of Apache Kafka.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_agrees_with_kafka(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected & 0xFFFFFFFF


@given(st.binary(max_size=64), st.integers(1, 50))
def test_a_partition_exists(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


class Echo:
    name, version, topic, broadcast = "echo", "1", "in", ()

    def observe(self, records: Sequence[Record]) -> None: ...

    async def handle(self, record: Record) -> Sequence[Emit]:
        return [Emit("out", record.key, record.value)]

    async def close(self) -> None: ...


class Broker:
    """Keeps what is written; refuses values that begin with `huge`."""

    def __init__(self, refusal: Exception, *, later: bool) -> None:
        self.written: list[Emit] = []
        self._refusal = refusal
        self._later = later

    def write(self, emits: Sequence[Emit], delivered: Delivered) -> None:
        for emit in emits:
            if (emit.value or b"").startswith(b"huge") and not emit.topic.startswith("dlq."):
                if not self._later:
                    raise self._refusal
                delivered(self._refusal)
                return
        self.written += emits
        delivered(None)


@pytest.mark.parametrize("later", [False, True], ids=["by produce", "by the delivery report"])
async def test_a_record_whose_output_no_broker_takes_is_a_dead_letter(later: bool) -> None:
    broker = Broker(UsageError("over the bound"), later=later)
    engine = StageEngine(Echo(), broker.write, in_flight=2)
    engine.start()
    engine.accept(Record("in", 0, 0, b"k", b"huge"))
    engine.accept(Record("in", 0, 1, b"k", b"small"))
    await engine.settled(10)
    await engine.stop()
    assert [emit.topic for emit in broker.written] == ["dlq.echo", "out"]
    assert engine.ledger.take() == {TopicPartition("in", 0): 2}


async def test_a_broker_that_is_away_is_no_fault_of_the_record() -> None:
    broker = Broker(DependencyUnavailable("away"), later=True)
    engine = StageEngine(Echo(), broker.write, in_flight=2)
    engine.start()
    engine.accept(Record("in", 0, 0, b"k", b"huge"))
    async with asyncio.timeout(10):
        assert isinstance(await engine.failed(), DependencyUnavailable)
    await engine.stop()
    assert broker.written == []
    assert engine.ledger.take() == {}


class Reading:
    name, version, inputs = "task", "1", (Input("state", "rebuild"), Input("work"), Input("news", "broadcast"))


def record(topic: str, offset: int) -> Record:
    return Record(topic, 0, offset, b"k", b"v")


STATE, WORK = TopicPartition("state", 0), TopicPartition("work", 0)


def feed() -> TaskFeed:
    made = TaskFeed(Reading())  # type: ignore[arg-type]
    assert (made.start(STATE, 3), made.start(WORK, 3)) == (0, 3)
    return made


def test_records_below_the_committed_offset_of_a_rebuilt_topic_restore() -> None:
    made = feed()
    assert made.restoring == [STATE]
    restore, process = made.take([record("state", offset) for offset in (0, 2, 3)] + [record("work", 3)])
    assert [one.offset for one in restore] == [0, 2]
    assert [(one.topic, one.offset) for one in process] == [("state", 3), ("work", 3)]
    assert made.restoring == []
    assert made.uncommitted() == {STATE: 4, WORK: 4}


def test_repeats_and_strangers_are_passed_over() -> None:
    made = feed()
    assert made.take([record("work", 2), record("other", 0)]) == ([], [])
    made.take([record("work", 3)])
    assert made.take([record("work", 3)]) == ([], [])


def test_an_end_beyond_control_records_moves_the_position_and_ends_the_restoring() -> None:
    made = feed()
    made.reached(STATE, 5)
    assert made.restoring == []
    assert made.uncommitted() == {STATE: 5}
    made.note_commit()
    assert made.uncommitted() == {}


def test_a_topic_made_anew_does_not_restore_for_ever() -> None:
    made = feed()
    made.reached(STATE, 1)
    assert made.restoring == []


def test_partitions_that_left_are_forgotten() -> None:
    made = feed()
    assert made.forget([STATE, TopicPartition("never", 0)]) == [STATE]
    assert made.partitions == [WORK]
    assert made.take([record("state", 0)]) == ([], [])


def test_a_local_transaction_writes_all_or_nothing() -> None:
    transport = LocalTransport(max_message_bytes=10)
    transport.create("t", 1)
    with pytest.raises(UsageError, match="over the bound of 10 bytes"):
        transport.transact([Emit("t", None, b"a"), Emit("t", None, b"b" * 11)], "g", {TopicPartition("t", 0): 1})
    with pytest.raises(UsageError, match="'u' does not exist"):
        transport.transact([Emit("t", None, b"a"), Emit("u", None, b"b")], "g", {TopicPartition("t", 0): 1})
    assert transport.ends("t") == {0: 0}
    assert transport.committed("g", "t") == {0: 0}


def test_local_reading_ends_where_the_log_ended_at_the_call_and_can_begin_at_a_time() -> None:
    transport = LocalTransport()
    transport.create("t", 1)
    transport.send([Emit("t", b"k", b"1")])
    reading = transport.read(["t"])
    transport.send([Emit("t", b"k", b"2")])
    assert [one.value for one in reading] == [b"1"]
    latest = max(one.timestamp_ms for one in transport.read(["t"]))
    assert list(transport.read(["t"], since_ms=latest + 1)) == []


def test_a_watchdog_bites_only_what_takes_too_long() -> None:
    bitten = threading.Event()
    watchdog = Watchdog(0.05, bitten.set)
    with watchdog.watching("a short call"):
        pass
    assert not bitten.wait(0.2)
    with watchdog.watching("a long call"):
        assert bitten.wait(10)
    watchdog.close()


def test_jobs_run_in_order_and_hand_over_their_errors() -> None:
    jobs = JobThread("test")
    order: list[int] = []
    futures = [jobs.submit(lambda number=number: order.append(number)) for number in range(5)]  # type: ignore[misc]
    failing = jobs.submit(lambda: 1 / 0)
    for future in futures:
        future.result(10)
    with pytest.raises(ZeroDivisionError):
        failing.result(10)
    jobs.close()
    assert order == list(range(5))
