"""The network takes everything and answers nothing, on connections that stay open: as when a whole machine is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from limoflow.stack.kafka import KafkaBroker
from limoflow.stack.ports import LOOPBACK, free_ports
from limoflow.stack.processes import running
from limoflow.stream.settings import BrokerSettings
from tests.contract.stream.harness import KafkaHarness
from tests.contract.stream.test_tasks import links, outputs
from tests.support.slow_network import SlowNetwork
from tests.support.stack import need_broker

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[SlowNetwork]:
    """Between clients and a broker of its own."""
    need_broker()
    with SlowNetwork(lambda: broker.port) as network:
        # What the broker says to itself does not pass the proxy.
        own = f"OWN://{LOOPBACK}:{free_ports(1)[0]}"
        controller = f"CONTROLLER://{LOOPBACK}:${{controller_port}}"
        listeners = {
            "listeners": f"PLAINTEXT://{LOOPBACK}:${{port}},{own},{controller}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{network.port},{own}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,OWN:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "OWN",
        }
        broker = KafkaBroker(tmp_path, properties=listeners)
        with running(broker.spec()):
            yield network


@pytest.fixture
async def supervised(network: SlowNetwork, tmp_path: Path) -> AsyncIterator[KafkaHarness]:
    settings = BrokerSettings(
        bootstrap_servers=f"{LOOPBACK}:{network.port}", session_timeout_ms=6000, request_timeout_ms=5000
    )
    harness = KafkaHarness(settings, tmp_path, supervise=True)
    yield harness
    await harness.close()


async def test_lost_connections_hold_work_up_no_longer_than_a_request_may_take(
    supervised: KafkaHarness, network: SlowNetwork
) -> None:
    """A producer of transactions would wait for as long as its transaction may last: librdkafka's own choice."""
    name, topic, output = supervised.flow()
    chained, links_topic = f"{name}-chain", supervised.create(f"{name}.links")
    sent = [f"ok{number}:k{number}".encode() for number in range(200)]
    supervised.send(topic, sent[:100])
    supervised.start("Steered", name=name, topic=topic, output=output)
    supervised.start("Chain", name=chained, topic=topic, output=links_topic)
    await supervised.until(lambda: min(supervised.count(output), supervised.count(links_topic)) >= 100, "progress")

    network.lose()
    supervised.connect_anew()
    supervised.send(topic, sent[100:])

    await supervised.until(
        lambda: supervised.lag(name, topic) == 0 and supervised.lag(chained, topic) == 0, "everything acknowledged"
    )
    assert {record.value for record in supervised.read(output)} == set(sent)
    assert outputs(supervised, links_topic) == links(supervised, topic)
