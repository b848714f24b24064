"""The broker dies in the middle: workers survive it or end, and nothing is lost or repeated that must not be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from limoflow.stack.processes import ManagedProcess, wait_until
from limoflow.stack.readiness import serves_kafka
from limoflow.stream.settings import BrokerSettings
from tests.contract.stream.harness import KafkaHarness
from tests.contract.stream.test_tasks import links, outputs

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
