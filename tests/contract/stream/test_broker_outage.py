"""The broker dies in the middle: workers survive it or end, and nothing is lost or repeated that must not be."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from limoflow.errors import DependencyUnavailable
from limoflow.stack.processes import ManagedProcess, wait_until
from limoflow.stack.readiness import serves_kafka
from limoflow.stream.kafka_errors import quiet
from limoflow.stream.kafka_transport import KafkaSender
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.types import Emit
from limoflow.stream.vital_signs import vital_signs
from tests.contract.stream.harness import KafkaHarness
from tests.contract.stream.test_tasks import links, outputs

STILL_S = 6.0
SOON_S = 60.0

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]


@pytest.fixture
async def supervised(
    kafka_process: tuple[ManagedProcess, BrokerSettings], tmp_path: Path
) -> AsyncIterator[KafkaHarness]:
    harness = KafkaHarness(kafka_process[1], tmp_path, supervise=True)
    yield harness
    await harness.close()


async def test_a_killed_broker_loses_nothing(
    supervised: KafkaHarness, kafka_process: tuple[ManagedProcess, BrokerSettings]
) -> None:
    process, broker = kafka_process
    name, topic, output = supervised.flow()
    chained, links_topic = f"{name}-chain", supervised.create(f"{name}.links")
    sent = [f"ok{number}:k{number}".encode() for number in range(6000)]
    supervised.send(topic, sent[:3000])
    supervised.start("Steered", name=name, topic=topic, output=output, jitter_s=0.05)
    supervised.start("Chain", name=chained, topic=topic, output=links_topic)
    await supervised.until(lambda: supervised.count(output) > 500 and supervised.count(links_topic) > 0, "progress")

    process.kill()
    assert wait_until(lambda: process.poll() is not None, 30)
    process.start()
    assert wait_until(lambda: serves_kafka(int(broker.bootstrap_servers.rpartition(":")[2])), 60)
    supervised.send(topic, sent[3000:])

    await supervised.until(
        lambda: supervised.lag(name, topic) == 0 and supervised.lag(chained, topic) == 0, "everything acknowledged"
    )
    assert {record.value for record in supervised.read(output)} == set(sent)
    assert outputs(supervised, links_topic) == links(supervised, topic)
    assert supervised.count(f"dlq.{name}") == 0


async def test_workers_go_on_soon_after_a_broker_that_stood_still(
    supervised: KafkaHarness, kafka_process: tuple[ManagedProcess, BrokerSettings]
) -> None:
    pid = kafka_process[0].pid
    assert pid is not None
    flows = [supervised.flow() for _ in range(4)]
    for number, (name, topic, output) in enumerate(flows):
        handler = "Steered" if number == 3 else "Chain"
        supervised.start(handler, name=name, topic=topic, output=output)
    numbers = iter(range(1_000_000))

    def handled() -> bool:
        try:
            return not any(supervised.lag(name, topic) for name, topic, _ in flows)
        except DependencyUnavailable:
            return False

    async def all_handled() -> None:
        sender = KafkaSender(kafka_process[1])
        for _, topic, _ in flows:
            values = (f"ok:k{next(numbers)}".encode() for _ in range(20))
            sender.send(Emit(topic, value, value) for value in values)
        sender.close()
        await supervised.until(handled, "every record")

    await all_handled()
    silences = []
    for _ in range(2):
        os.kill(pid, signal.SIGSTOP)
        # Longer than its session: the controller says for a moment that there is no broker at all.
        await asyncio.sleep(STILL_S)
        os.kill(pid, signal.SIGCONT)
        began = time.monotonic()
        await all_handled()
        silences.append(time.monotonic() - began)
    assert max(silences) < SOON_S, silences


def test_a_client_that_is_told_of_no_broker_never_asks_again_and_is_found_out(
    supervised: KafkaHarness, kafka_process: tuple[ManagedProcess, BrokerSettings]
) -> None:
    """Where this fails because librdkafka has been mended, limoflow.stream.vital_signs can go."""
    pid, settings = kafka_process[0].pid, kafka_process[1]
    assert pid is not None
    found_out: list[float] = []
    name, topic, _ = supervised.flow()
    signs = vital_signs("the test's client", bite=lambda: found_out.append(time.monotonic()))
    # It asks often, so that it asks while the broker is fenced.
    consumer = Consumer(
        settings.consumer(group_id=name, error_cb=quiet, topic_metadata_refresh_interval_ms=50, **signs)
    )
    consumer.assign([TopicPartition(topic, number) for number in range(4)])
    for _ in range(3):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(STILL_S)
        os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + 20
        while not found_out and time.monotonic() < deadline:
            consumer.consume(1, timeout=0.1)
        if found_out:
            break
    with pytest.raises(KafkaException):
        consumer.list_topics(timeout=5)
    consumer.close()
    assert found_out
