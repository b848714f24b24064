"""What holds for every task, whatever the transport: outputs, state and positions move together (promise G2)."""

from __future__ import annotations

from pathlib import Path

from limoflow.stream.drain import DrainBarrier, Hop
from limoflow.stream.types import TopicPartition
from schemas.headers import header_text
from tests.contract.stream.handlers import extended
from tests.contract.stream.harness import Harness, fresh


def values(count: int, start: int = 0) -> list[bytes]:
    return [f"v{number}:k{number}".encode() for number in range(start, start + count)]


def links(harness: Harness, topic: str) -> dict[bytes | None, list[bytes | None]]:
    """The outputs of an undisturbed Chain: for each key its links."""
    digests: dict[int, bytes] = {}
    expected: dict[bytes | None, list[bytes | None]] = {}
    for record in sorted(harness.read(topic), key=lambda one: (one.partition, one.offset)):
        digests[record.partition] = extended(digests.get(record.partition, b""), record)
        expected.setdefault(record.key, []).append(digests[record.partition])
    return expected


def outputs(harness: Harness, topic: str) -> dict[bytes | None, list[bytes | None]]:
    found: dict[bytes | None, list[bytes | None]] = {}
    for record in harness.read(topic):
        found.setdefault(record.key, []).append(record.value)
    return found


async def test_state_is_rebuilt_after_a_kill_and_every_output_comes_once(harness: Harness) -> None:
    name, topic, output = harness.flow()
    arguments = {"name": name, "topic": topic, "output": output}
    harness.start("Chain", **arguments)
    for round_ in range(3):
        harness.send(topic, values(1500, round_ * 1500))
        before = harness.count(output)
        await harness.until(lambda before=before: harness.count(output) > before, "progress")  # type: ignore[misc]
        await harness.crash(name)
    await harness.until(lambda: harness.lag(name, topic) == 0, "everything acknowledged")
    await harness.stop(name)
    harness.start("Chain", **arguments)
    harness.send(topic, values(10, 5000))
    await harness.until(lambda: harness.lag(name, topic) == 0, "everything acknowledged")

    assert outputs(harness, output) == links(harness, topic)


async def test_partitions_move_between_workers_with_their_state(harness: Harness) -> None:
    name, topic, output = harness.flow()
    arguments = {"name": name, "topic": topic, "output": output}
    harness.send(topic, values(1000))
    harness.start("Chain", workers=2, **arguments)
    await harness.until(lambda: harness.lag(name, topic) == 0, "the first part")
    await harness.stop(name)
    harness.send(topic, values(1000, 1000))
    harness.start("Chain", workers=1, **arguments)
    await harness.until(lambda: harness.lag(name, topic) == 0, "the second part")

    assert outputs(harness, output) == links(harness, topic)


async def test_outputs_of_a_failed_batch_are_never_seen(harness: Harness, tmp_path: Path) -> None:
    name, topic, output = harness.flow()
    outage = tmp_path / "outage"
    outage.touch()
    harness.send(topic, values(400))
    witness = harness.create(fresh("witness"))
    harness.start("Chain", name=name, topic=topic, output=output, outage=str(outage))
    harness.start("Chain", name=f"{name}-witness", topic=topic, output=witness)
    await harness.until(lambda: harness.lag(f"{name}-witness", topic) == 0, "the witness")
    assert harness.read(output) == []

    outage.unlink()

    await harness.until(lambda: harness.lag(name, topic) == 0, "recovery")
    assert outputs(harness, output) == links(harness, topic)


async def test_broadcast_topics_are_read_before_the_first_batch(harness: Harness) -> None:
    name, topic, output = harness.flow()
    news = harness.create(fresh("news"), 1, compact=True)
    harness.send(news, values(600))
    harness.send(topic, values(50))
    harness.start("Chain", name=name, topic=topic, output=output, mode="group", broadcast=[news])
    await harness.until(lambda: harness.lag(name, topic) == 0, "everything acknowledged")

    assert {header_text(record.headers, "observed") for record in harness.read(output)} == {"600"}


async def test_broadcast_topics_are_read_before_state_is_rebuilt(harness: Harness) -> None:
    name, topic, output = harness.flow()
    news = harness.create(fresh("news"), 1, compact=True)
    arguments = {"name": name, "topic": topic, "output": output, "broadcast": [news]}
    harness.send(topic, values(2000))
    harness.start("Chain", **arguments)
    await harness.until(lambda: harness.lag(name, topic) == 0, "the first part")
    await harness.stop(name)
    harness.send(news, values(600))
    harness.start("Chain", **arguments)
    harness.send(topic, values(50, 2000))
    await harness.until(lambda: harness.lag(name, topic) == 0, "everything acknowledged")

    found = {header_text(record.headers, "observed-before") for record in harness.read(output)}
    assert found == {"[]", "[600]"}


async def test_positions_reach_the_ends_although_transactions_leave_marks(harness: Harness) -> None:
    name, topic, output = harness.flow()
    last = harness.create(fresh("last"))
    harness.send(topic, values(300))
    harness.start("Chain", name=name, topic=topic, output=output)
    harness.start("Chain", name=f"{name}-next", topic=output, output=last)

    await harness.until(
        lambda: (
            harness.count(last) >= 300 and harness.lag(name, topic) == 0 and harness.lag(f"{name}-next", output) == 0
        ),
        "positions at the ends",
    )

    assert len(harness.read(output)) == len(harness.read(last)) == 300


async def test_a_stop_in_a_long_batch_keeps_the_promise(harness: Harness) -> None:
    name, topic, output = harness.flow()
    arguments = {"name": name, "topic": topic, "output": output, "nap_s": 1.5}
    harness.send(topic, values(200))
    harness.start("Chain", **arguments)
    await harness.until(lambda: harness.count(output) > 0, "the first batch")
    harness.send(topic, values(200, 200))
    await harness.stop(name)
    harness.start("Chain", **arguments)
    await harness.until(lambda: harness.lag(name, topic) == 0, "everything acknowledged")

    assert outputs(harness, output) == links(harness, topic)


async def test_a_task_without_inputs_speaks_by_tick_and_learns_where_it_wrote(harness: Harness) -> None:
    name, told, output = harness.flow()
    harness.start("Announcing", name=name, output=output, told=told)
    await harness.until(lambda: len(harness.read(output)) == 6, "its words")
    await harness.until(lambda: len(harness.read(told)) > 0, "where they lie")
    await harness.stop(name)

    lasts = {str(record.partition).encode(): str(record.offset + 1).encode() for record in harness.read(output)}
    assert {record.key: record.value for record in harness.read(told)} == lasts


async def test_the_drain_barrier_waits_for_the_last_hop(harness: Harness, tmp_path: Path) -> None:
    first, topic, middle = harness.flow()
    second, last = harness.create(fresh("second")), harness.create(fresh("last"))
    hold = tmp_path / "hold"
    hold.touch()
    harness.create(f"dlq.{second}")
    harness.send(topic, [f"ok:k{number}".encode() for number in range(200)] + [b"slow:slow", b"poison:poison"])
    offsets = harness.transport.offsets
    chain = [Hop((topic,), first), Hop((middle, f"dlq.{first}"), second)]
    barrier = DrainBarrier(chain, {TopicPartition(topic, one): end for one, end in offsets.ends(topic).items()})
    harness.start("Steered", name=first, topic=topic, output=middle, hold=str(hold))
    await harness.until(lambda: harness.count(middle) == 200, "all but the slow one")
    assert not barrier.advance(offsets)
    hold.unlink()
    await harness.until(lambda: barrier.waiting_for == chain[1] or barrier.advance(offsets), "the first hop")
    assert not barrier.advance(offsets), "nobody reads the second hop yet"

    harness.start("Chain", name=second, topic=middle, output=last, mode="group")
    harness.start("Chain", name=f"{second}-letters", topic=f"dlq.{first}", output=last, mode="group")
    await harness.until(lambda: len(harness.read(last)) == 202, "all records, the dead letter among them")
    await harness.until(lambda: harness.lag(second, middle) == 0, "the second hop read")
    only_middle = DrainBarrier([chain[0], Hop((middle,), second)], {})
    assert only_middle.advance(offsets)
