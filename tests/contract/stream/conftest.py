"""The transports that the contract is held against."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from limoflow.stack.jars import java_program
from limoflow.stack.kafka import KafkaBroker
from limoflow.stack.processes import ManagedProcess, wait_until
from limoflow.stack.readiness import serves_kafka
from limoflow.stream.settings import BrokerSettings
from tests.contract.stream.harness import Harness, KafkaHarness, LocalHarness

ON_CI = os.environ.get("CI") == "true"


@pytest.fixture(scope="session")
def kafka_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ManagedProcess, BrokerSettings]]:
    """One broker for all tests of this process."""
    if not ON_CI and (java_program() is None or shutil.which("mvn") is None):
        pytest.skip("needs Java 17 and Maven")
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
