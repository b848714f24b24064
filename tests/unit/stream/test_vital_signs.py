"""A client that knows no broker is told from one whose brokers are away."""

from __future__ import annotations

import json
from typing import Any

import pytest
from confluent_kafka import Consumer

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
