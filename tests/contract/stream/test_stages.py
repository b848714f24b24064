"""What holds for every stage, whatever the transport (promises G1, G2, G5, G6)."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from limoflow.stream.dead_letters import read_dead_letter, replay
from schemas.headers import header_text
from schemas.topics import topics
from tests.contract.stream.harness import Harness, fresh


def values(kind: str, count: int) -> list[bytes]:
    return [f"{kind}:{kind}-{number}".encode() for number in range(count)]


def keys(harness: Harness, topic: str) -> Counter[bytes | None]:
    return Counter(record.key for record in harness.read(topic))


async def test_every_record_leaves_by_one_door_whatever_its_handler_does(harness: Harness) -> None:
    name, topic, output = harness.flow()
    sent = {kind: values(kind, 40) for kind in ("ok", "poison", "fail", "flaky")}
    harness.send(topic, [value for four in zip(*sent.values(), strict=True) for value in four], (("trace", b"t1"),))
    harness.start("Steered", name=name, topic=topic, output=output, jitter_s=0.01)

    await harness.until(lambda: harness.lag(name, topic) == 0, "everything acknowledged")

    passed = {value.rpartition(b":")[2] for value in sent["ok"] + sent["flaky"]}
    refused = {value.rpartition(b":")[2] for value in sent["poison"] + sent["fail"]}
    assert keys(harness, output) == Counter(dict.fromkeys(passed, 1))
    assert keys(harness, f"dlq.{name}") == Counter(dict.fromkeys(refused, 1))
    letters = [read_dead_letter(record) for record in harness.read(f"dlq.{name}")]
    assert {(letter.error_class, letter.attempts) for letter in letters} == {("PoisonError", 1), ("RuntimeError", 3)}
    assert all(len(letter.error) <= 2048 for letter in letters)


async def test_a_dead_letter_goes_back_as_it_was(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    name, topic, output = harness.flow()
    described = topics()["samples.raw"].model_copy(update={"consumers": (name,)})
    monkeypatch.setattr("limoflow.stream.dead_letters.topics", lambda: {topic: described})
    headers = (("ce_runid", b"run-1"), ("ce_window", b"3"), ("trace", b"\xff\x00"))
    harness.send(topic, [b"poison:\xff\xfe:key"], headers)
    harness.start("Steered", name=name, topic=topic, output=output)
    await harness.until(lambda: harness.count(f"dlq.{name}") == 1, "a dead letter")

    dead = harness.read(f"dlq.{name}")[0]
    letter = read_dead_letter(dead)
    assert (letter.run_id, letter.window, letter.sample_id) == ("run-1", 3, "key")
    harness.transport.sender.send([replay(dead)])

    first, again = harness.read(topic)
    assert (again.key, again.value, again.headers) == (first.key, first.value, first.headers)
    assert again.headers == headers


async def test_nothing_is_lost_when_workers_are_killed(harness: Harness) -> None:
    name, topic, output = harness.flow()
    sent = values("ok", 3000)
    harness.send(topic, sent)
    harness.start("Steered", workers=2, name=name, topic=topic, output=output, jitter_s=0.03)

    for share in (300, 1200):
        await harness.until(lambda share=share: harness.count(output) > share, "some progress")  # type: ignore[misc]
        await harness.crash(name)
    await harness.until(lambda: harness.lag(name, topic) == 0, "everything acknowledged")

    found = harness.read(output)
    assert {record.value for record in found} == set(sent)
    assert len({(record.key, record.value) for record in found}) == len(sent), "a repeat differs from its first"
    assert harness.count(f"dlq.{name}") == 0


async def test_an_unfinished_record_holds_back_the_acknowledgement(harness: Harness, tmp_path: Path) -> None:
    name, topic, output = harness.flow(partitions=1)
    hold = tmp_path / "hold"
    hold.touch()
    harness.send(topic, [*values("ok", 5), b"slow:slow-0", *values("late", 20)])
    arguments = {"name": name, "topic": topic, "output": output, "hold": str(hold)}
    harness.start("Steered", **arguments)
    await harness.until(lambda: harness.count(output) == 25, "all but the slow one")
    await harness.until(lambda: harness.lag(name, topic) == 21, "the finished prefix acknowledged")

    await harness.crash(name)
    await harness.until(lambda: harness.count(output) > 25, "repeats of what was not acknowledged")
    assert harness.transport.offsets.committed(name, topic) == {0: 5}
    hold.unlink()

    await harness.until(lambda: harness.lag(name, topic) == 0, "everything acknowledged")
    assert keys(harness, output)[b"slow-0"] == 1


async def test_broadcast_topics_are_read_before_the_first_record(harness: Harness) -> None:
    name, topic, output = harness.flow()
    news = harness.create(fresh("news"), 1, compact=True)
    harness.send(news, values("news", 700))
    harness.send(topic, values("ok", 100))
    harness.start("Steered", name=name, topic=topic, output=output, broadcast=[news])

    await harness.until(lambda: harness.count(output) == 100, "all records")

    observed = {int(header_text(record.headers, "observed") or 0) for record in harness.read(output)}
    assert observed == {700}
    harness.send(news, [b"more:more"])
    harness.send(topic, [b"ok:one-more"])
    await harness.until(lambda: harness.count(output) == 101, "one more record")


async def test_an_outage_stops_intake_and_fills_no_dead_letters(harness: Harness, tmp_path: Path) -> None:
    name, topic, output = harness.flow()
    outage = tmp_path / "outage"
    outage.touch()
    harness.send(topic, values("ok", 2000))
    harness.start("Steered", name=name, topic=topic, output=output, outage=str(outage))
    harness.start("Chain", name=f"{name}-witness", topic=topic, output=harness.create(f"{name}.witness"), mode="group")
    await harness.until(lambda: harness.lag(f"{name}-witness", topic) == 0, "the witness has read it all")
    assert harness.lag(name, topic) == 2000
    assert harness.count(output) == harness.count(f"dlq.{name}") == 0

    outage.unlink()

    await harness.until(lambda: harness.lag(name, topic) == 0, "recovery")
    assert keys(harness, output) == Counter(f"ok-{number}".encode() for number in range(2000))
    assert harness.count(f"dlq.{name}") == 0


async def test_a_graceful_stop_loses_and_repeats_nothing(harness: Harness) -> None:
    name, topic, output = harness.flow()
    arguments = {"name": name, "topic": topic, "output": output, "jitter_s": 0.05}
    harness.send(topic, values("ok", 1500))
    harness.start("Steered", **arguments)
    await harness.until(lambda: harness.count(output) > 200, "some progress")

    await harness.stop(name)
    stopped_at = harness.count(output)
    assert stopped_at < 1500
    assert harness.lag(name, topic) == 1500 - stopped_at

    harness.start("Steered", **arguments)
    await harness.until(lambda: harness.lag(name, topic) == 0, "the rest")
    assert keys(harness, output) == Counter(f"ok-{number}".encode() for number in range(1500))


async def test_a_stop_does_not_wait_for_an_outage(harness: Harness, tmp_path: Path) -> None:
    name, topic, output = harness.flow()
    outage = tmp_path / "outage"
    outage.touch()
    harness.send(topic, values("ok", 50))
    arguments = {"name": name, "topic": topic, "output": output, "outage": str(outage)}
    harness.start("Steered", **arguments)
    harness.start("Steered", **{**arguments, "name": f"{name}-free", "outage": ""})
    await harness.until(lambda: harness.count(output) == 50, "the other stage")

    await harness.stop(name)

    assert harness.lag(name, topic) == 50
    outage.unlink()
    harness.start("Steered", **arguments)
    await harness.until(lambda: harness.lag(name, topic) == 0, "the records that had waited")


async def test_a_broken_invariant_ends_the_worker_and_acknowledges_nothing(harness: Harness) -> None:
    name, topic, output = harness.flow(partitions=1)
    harness.send(topic, [b"broken:b", *values("ok", 5)])
    harness.start("Steered", name=name, topic=topic, output=output)

    await harness.fails(name)

    assert harness.transport.offsets.committed(name, topic) == {0: 0}
    assert harness.count(f"dlq.{name}") == 0


async def test_workers_share_the_partitions(harness: Harness) -> None:
    name, topic, output = harness.flow()
    arguments = {"name": name, "topic": topic, "output": output, "jitter_s": 0.02}
    harness.start("Steered", workers=3, **arguments)
    harness.send(topic, values("ok", 600))
    await harness.until(lambda: harness.lag(name, topic) == 0, "everything acknowledged")
    await harness.stop(name)
    harness.start("Steered", workers=1, **arguments)
    harness.send(topic, values("more", 100))

    await harness.until(lambda: harness.lag(name, topic) == 0, "everything acknowledged by one")

    assert {record.value for record in harness.read(output)} == {*values("ok", 600), *values("more", 100)}


async def test_equal_keys_go_to_one_partition_and_keep_their_order(harness: Harness) -> None:
    _, topic, _ = harness.flow()
    sent = [f"{hashlib.sha256(str(number).encode()).hexdigest()}:key-{number % 7}".encode() for number in range(210)]
    harness.send(topic, sent)

    places: dict[bytes | None, set[int]] = {}
    for record in harness.read(topic):
        places.setdefault(record.key, set()).add(record.partition)
    assert len(places) == 7
    assert all(len(one) == 1 for one in places.values())
    ordered = [record.value for record in harness.read(topic) if record.key == b"key-3"]
    assert ordered == [value for value in sent if value.endswith(b":key-3")]
