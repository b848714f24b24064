"""The transports that the contract is held against."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from limoflow.stack.kafka import KafkaBroker
from limoflow.stack.processes import ManagedProcess, wait_until
from limoflow.stack.readiness import serves_kafka
from limoflow.stream.settings import BrokerSettings
from tests.contract.stream.harness import Harness, KafkaHarness, LocalHarness
from tests.support.stack import need_broker


@pytest.fixture(scope="session")
def kafka_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ManagedProcess, BrokerSettings]]:
    """One broker for all tests of this process."""
    need_broker()
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"))
    process = ManagedProcess(broker.spec())
    process.start()
    try:
        wait_until(lambda: serves_kafka(broker.port), 90.0)
        yield (
            process,
            BrokerSettings(bootstrap_servers=broker.bootstrap, session_timeout_ms=6000, delivery_timeout_ms=60_000),
        )
    finally:
        process.stop()


@pytest.fixture
def kafka_broker(kafka_process: tuple[ManagedProcess, BrokerSettings]) -> BrokerSettings:
    return kafka_process[1]


@pytest.fixture(params=["local", pytest.param("kafka", marks=pytest.mark.kafka)])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Harness]:
    made: Harness
    if request.param == "local":
        made = LocalHarness()
    else:
        made = KafkaHarness(request.getfixturevalue("kafka_broker"), tmp_path)
    yield made
    await made.close()
