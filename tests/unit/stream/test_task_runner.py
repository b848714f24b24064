"""A task whose partition is lost and comes back has all of it again, whatever was on its way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from confluent_kafka import TopicPartition as KafkaPosition

from limoflow.stream import confluent_runner
from limoflow.stream.confluent_runner import TaskRunner
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.types import Emit, Input, Record, TopicPartition

LOG, BATCH = 12, 10
PLACE = TopicPartition("pool", 0)


@dataclass
class Message:
    """A record as the client hands it out."""

    at: int

    def topic(self) -> str:
        return PLACE.topic

    def partition(self) -> int:
        return PLACE.partition

    def offset(self) -> int:
        return self.at

    def error(self) -> None:
        return None

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return b"value"

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return (1, 0)


class FakeConsumer:
    """One partition of twelve records. `events` happen inside the calls of `consume`, as the client's callbacks do."""

    events: deque[Callable[[FakeConsumer], None] | None]
    stored: dict[TopicPartition, int]

    def __init__(self, _config: Mapping[str, Any]) -> None:
        self.position: int | None = None
        self.paused = False

    def subscribe(self, _topics: list[str], **callbacks: Callable[..., None]) -> None:
        self.on = callbacks

    def consume(self, number: int, timeout: float) -> list[Message]:
        before = [] if self.position is None or self.paused else self.fetched(number)
        event = self.events.popleft() if self.events else None
        if event is not None:
            event(self)
        return before or ([] if self.position is None or self.paused else self.fetched(number))

    def fetched(self, number: int) -> list[Message]:
        begin = self.position or 0
        self.position = min(LOG, begin + number)
        return [Message(at) for at in range(begin, self.position)]

    def assign_anew(self) -> None:
        self.on["on_assign"](self, [KafkaPosition(*PLACE)])

    def lose_and_get_back(self) -> None:
        self.position = None
        self.on["on_lost"](self, [KafkaPosition(*PLACE)])
        self.assign_anew()

    def incremental_assign(self, positions: list[KafkaPosition]) -> None:
        self.position, self.paused = max(0, positions[0].offset), False

    def pause(self, positions: list[KafkaPosition]) -> None:
        self.paused = self.paused or bool(positions)

    def resume(self, positions: list[KafkaPosition]) -> None:
        self.paused = self.paused and not positions

    def seek(self, position: KafkaPosition) -> None:
        self.position = max(0, position.offset)

    def committed(self, positions: list[KafkaPosition], timeout: float) -> list[KafkaPosition]:
        return [KafkaPosition(one.topic, one.partition, self.stored.get(PLACE, -1001)) for one in positions]

    def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int]:
        return (0, LOG)

    def close(self) -> None:
        return None


class FakeWriter:
    """Stores positions, writes nothing."""

    def __init__(self, *_: Any) -> None:
        return None

    def write(self, emits: Iterable[Emit]) -> int:
        return len(list(emits))

    def commit(self, positions: Mapping[TopicPartition, int], _: Any) -> dict[TopicPartition, int]:
        FakeConsumer.stored.update(positions)
        return {}

    def poll(self) -> None:
        return None

    def abort(self) -> None:
        return None

    def close(self) -> None:
        return None


class Keeping:
    """Keeps the offsets of what it was given since it got its partition."""

    name, version = "keeping", "1"

    def __init__(self, mode: Literal["group", "rebuild"]) -> None:
        self.inputs = (Input(PLACE.topic, mode),)
        self.kept: list[int] = []
        self.handled: list[int] = []

    def assigned(self, _: Sequence[TopicPartition]) -> None:
        self.kept = []

    def revoked(self, _: Sequence[TopicPartition]) -> None:
        self.kept = []

    def observe(self, _: Sequence[Record]) -> None:
        return None

    def restore(self, records: Sequence[Record]) -> None:
        self.kept += [record.offset for record in records]

    def process(self, records: Sequence[Record]) -> Iterable[Emit]:
        offsets = [record.offset for record in records]
        self.kept += offsets
        self.handled += offsets
        return ()

    def tick(self) -> Iterable[Emit]:
        return ()

    def delivered(self, _: Mapping[TopicPartition, int]) -> None:
        return None


@pytest.mark.parametrize("mode", ["rebuild", "group"])
@pytest.mark.parametrize("at", range(1, 8))
def test_nothing_is_passed_over_whenever_a_partition_is_lost_and_comes_back(
    mode: Literal["group", "rebuild"], at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeConsumer.stored = {}
    FakeConsumer.events = deque([FakeConsumer.assign_anew, *[None] * (at - 1), FakeConsumer.lose_and_get_back])
    monkeypatch.setattr(confluent_runner, "Consumer", FakeConsumer)
    monkeypatch.setattr(confluent_runner, "TransactionalWriter", FakeWriter)
    monkeypatch.setattr(confluent_runner, "connect", lambda _: None)
    task = Keeping(mode)
    runner = TaskRunner(task, BrokerSettings(bootstrap_servers="nowhere:1"), batch=BATCH)
    steps = 0
    step = runner._step

    def counted() -> None:
        nonlocal steps
        steps += 1
        if steps > 30:
            runner.stop()
        step()

    monkeypatch.setattr(runner, "_step", counted)
    runner.run()
    assert not FakeConsumer.events
    assert FakeConsumer.stored == {PLACE: LOG}
    assert sorted(set(task.handled)) == list(range(LOG))
    if mode == "rebuild":
        assert task.kept == list(range(LOG))
