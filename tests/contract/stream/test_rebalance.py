"""Partitions that go to another worker and come back, on a real broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer

from limoflow.stream.settings import BrokerSettings
from tests.contract.stream.harness import KafkaHarness
from tests.contract.stream.test_tasks import links, outputs, values

pytestmark = pytest.mark.kafka


async def test_partitions_that_are_lost_in_a_long_batch_are_read_on_when_they_come_back(
    kafka_broker: BrokerSettings, tmp_path: Path
) -> None:
    harness = KafkaHarness(kafka_broker, tmp_path)
    name, topic, output = harness.flow()
    rival = Consumer(kafka_broker.consumer(group_id=name, partition_assignment_strategy="cooperative-sticky"))
    try:
        # All partitions are held back in a batch as long as this one.
        harness.start("Chain", name=name, topic=topic, output=output, nap_s=3.0)
        harness.send(topic, values(200))
        await harness.until(lambda: harness.lag(name, topic) == 0, "the first batch")
        harness.send(topic, values(200, 200))
        rival.subscribe([topic])
        await harness.until(lambda: rival.consume(1, 0.1) is not None and len(rival.assignment()) == 2, "a rival")
        before = harness.count(output)
        await harness.until(
            lambda: rival.consume(1, 0.1) is not None and harness.count(output) > before, "a batch without them"
        )
        rival.close()

        await harness.until(lambda: harness.lag(name, topic) == 0, "everything acknowledged")
        assert outputs(harness, output) == links(harness, topic)
    finally:
        rival.close()
        await harness.close()
