"""A client that knows no broker is told from one whose brokers are away."""

from __future__ import annotations

import json
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

from limoflow.stream.kafka_errors import quiet
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.vital_signs import knows_a_broker, vital_signs


def told(**sources: str) -> str:
    return json.dumps({"brokers": {name: {"source": source, "state": "DOWN"} for name, source in sources.items()}})


@pytest.mark.parametrize("source", ["configured", "learned"])
def test_a_broker_that_is_away_is_known(source: str) -> None:
    assert knows_a_broker(told(one=source, coordinator="logical"))


def test_a_coordinator_alone_is_nobody_to_ask() -> None:
    assert not knows_a_broker(told(coordinator="logical", own="internal"))
    assert not knows_a_broker(told())


def test_the_process_ends_once_when_it_was_told_twice_on_end() -> None:
    ends: list[str] = []
    look = vital_signs("a client", bite=lambda: ends.append("end"))["stats_cb"]
    for statistics in (told(), told(one="learned"), told()):
        look(statistics)
    assert ends == []
    look(told())
    assert ends == ["end"]
    look(told())
    assert ends == ["end"]


def test_librdkafka_tells_of_a_broker_that_does_not_answer() -> None:
    heard: list[str] = []
    config: dict[str, Any] = BrokerSettings(bootstrap_servers="127.0.0.1:9").consumer(
        group_id="g", statistics_interval_ms=50, stats_cb=heard.append
    )
    consumer = Consumer(config)
    for _ in range(200):
        consumer.consume(1, timeout=0.05)
        if heard:
            break
    consumer.close()
    assert heard
    assert knows_a_broker(heard[-1])


METADATA, VERSIONS, UNSUPPORTED_VERSION, LEADER_NOT_AVAILABLE = 3, 18, 35, 5


class OneBroker(socketserver.ThreadingTCPServer):
    """As much of a broker as metadata needs; while it is `fenced`, it says that there is no broker."""

    daemon_threads = True
    fenced = False

    def metadata(self) -> bytes:
        brokers = [] if self.fenced else [struct.pack(">i", 1) + text("127.0.0.1") + struct.pack(">ih", self.port, -1)]
        error, leader = (LEADER_NOT_AVAILABLE, -1) if self.fenced else (0, 1)
        partition = struct.pack(">hiiiiii", error, 0, leader, 1, 1, 1, 1)
        topic = struct.pack(">h", 0) + text("t") + b"\0" + array([partition])
        return array(brokers) + struct.pack(">i", 1) + array([topic])

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class Answers(socketserver.StreamRequestHandler):
    server: OneBroker

    def handle(self) -> None:
        while header := self.rfile.read(4):
            request = self.rfile.read(*struct.unpack(">i", header))
            key, version, correlation = struct.unpack(">hhi", request[:8])
            if key == METADATA:
                body = self.server.metadata()
            else:
                known = [struct.pack(">hhh", VERSIONS, 0, 0), struct.pack(">hhh", METADATA, 0, 1)]
                body = struct.pack(">h", UNSUPPORTED_VERSION if version else 0) + array(known)
            self.wfile.write(struct.pack(">ii", len(body) + 4, correlation) + body)


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def array(parts: list[bytes]) -> bytes:
    return struct.pack(">i", len(parts)) + b"".join(parts)


@pytest.fixture
def one_broker() -> Iterator[OneBroker]:
    with OneBroker(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_client_that_was_told_once_of_no_broker_never_asks_again_and_is_found_out(one_broker: OneBroker) -> None:
    """Where this fails because librdkafka has been mended, limoflow.stream.vital_signs can go."""
    found_out = threading.Event()
    settings = BrokerSettings(bootstrap_servers=f"127.0.0.1:{one_broker.port}")
    signs = vital_signs("the test's client", bite=found_out.set) | {"statistics_interval_ms": 100}
    client = Producer(settings.client(error_cb=quiet, **signs))
    assert len(client.list_topics("t", timeout=20).brokers) == 1
    client.poll(0.5)
    assert not found_out.is_set()

    one_broker.fenced = True
    client.list_topics("t", timeout=20)
    one_broker.fenced = False

    deadline = time.monotonic() + 20
    while not found_out.is_set() and time.monotonic() < deadline:
        client.poll(0.1)
    assert found_out.is_set()
    with pytest.raises(KafkaException):
        client.list_topics("t", timeout=2)
