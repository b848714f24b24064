"""More workers than partitions: the surplus stands by and says so, nothing is lost, and it takes over."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from limoflow.cli.stack import _counts
from limoflow.errors import UsageError
from limoflow.stream.confluent_runner import TaskRunner
from limoflow.stream.faust_runner import StageRunner
from limoflow.stream.observer import SilentObserver
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.topics_admin import ensure_topics, short_topics
from limoflow.wiring.stack import SHARING, idle_workers
from schemas.topics import Topic
from tests.contract.stream.handlers import Chain, Steered
from tests.contract.stream.harness import GUARD_S, KafkaHarness, fresh
from tests.support.stack import until


class Told(SilentObserver):
    """What a worker said of its partitions last."""

    def __init__(self) -> None:
        self.partitions: int | None = None

    def assigned(self, stage: str, partitions: int) -> None:
        self.partitions = partitions


class Workers:
    """Two workers of one handler in threads of this process."""

    def __init__(self, handler: str, broker: BrokerSettings, **arguments: Any) -> None:
        self.told = [Told(), Told()]
        self.runners: list[StageRunner | TaskRunner] = [
            StageRunner(Steered(**arguments), broker, observer=told)
            if handler == "Steered"
            else TaskRunner(Chain(**arguments), broker, instance=str(number), observer=told)
            for number, told in enumerate(self.told)
        ]
        self.threads = [threading.Thread(target=runner.run) for runner in self.runners]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self, *numbers: int) -> None:
        for number in numbers:
            self.runners[number].stop()
        for number in numbers:
            self.threads[number].join(GUARD_S)

    def shares(self) -> list[int | None]:
        return [told.partitions for told in self.told]


@pytest.mark.kafka
@pytest.mark.parametrize("handler", ["Steered", "Chain"])
def test_a_worker_beyond_the_partitions_says_that_it_has_none_and_takes_over(
    handler: str, kafka_broker: BrokerSettings, tmp_path: Path
) -> None:
    harness = KafkaHarness(kafka_broker, tmp_path)
    name, topic, output = harness.flow(partitions=1)
    workers = Workers(handler, kafka_broker, name=name, topic=topic, output=output)
    workers.start()
    try:
        until(lambda: sorted(map(str, workers.shares())) == ["0", "1"], GUARD_S, "one at work, one that stands by")
        harness.send(topic, [f"{number}:a".encode() for number in range(50)])
        until(lambda: len(harness.read(output)) == 50, GUARD_S, "the first records")
        first = workers.shares().index(1)
        workers.stop(first)
        harness.send(topic, [f"{number}:b".encode() for number in range(50)])
        until(lambda: len(harness.read(output)) == 100, GUARD_S, "what the other took over")
        until(lambda: workers.shares()[1 - first] == 1, GUARD_S, "the partition of the other")
    finally:
        workers.stop(0, 1)


@pytest.mark.kafka
def test_topics_with_fewer_partitions_than_were_asked_for_are_named(kafka_broker: BrokerSettings) -> None:
    names = {number: fresh("few") for number in (1, 3)}
    plain = {"purpose": "a test", "key": "k", "schema": None, "versions": [1], "producers": [], "consumers": []}
    for number, name in names.items():
        described = Topic.model_validate({**plain, "retention": 1, "partitions": number})
        ensure_topics(kafka_broker, {name: described})
    wanted = {name: Topic.model_validate({**plain, "retention": 1, "partitions": "work"}) for name in names.values()}
    settings = kafka_broker.model_copy(update={"partitions": 3})
    assert short_topics(settings, wanted | {"not.there": wanted[names[1]]}) == {names[1]: (1, 3)}


def test_more_workers_than_partitions_are_refused_before_anything_starts() -> None:
    for service in SHARING:
        assert idle_workers(service, 4, 4) is None
        assert "1 of 5 workers would have none" in (idle_workers(service, 5, 4) or "")
    assert idle_workers("exporter", 2, 4) is None
    with pytest.raises(UsageError, match=r"verifier=3: its topics have 2 partitions"):
        _counts(["scorer=2", "verifier=3"], 2)
