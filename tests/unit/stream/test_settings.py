"""Broker settings: what is wrong is said at once, and nothing hangs."""

from __future__ import annotations

import socket
import time

import pytest
from confluent_kafka import Producer
from pydantic import SecretStr, ValidationError

from limoflow.errors import DependencyUnavailable, UsageError
from limoflow.stream.kafka_transport import KafkaTransport
from limoflow.stream.settings import BrokerSettings


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS", "a:1, b:2")
    monkeypatch.setenv("LIMOFLOW_KAFKA_PARTITIONS", "7")
    settings = BrokerSettings()
    assert settings.addresses == ["a:1", "b:2"]
    assert settings.partitions == 7
    assert settings.client()["bootstrap.servers"] == "a:1,b:2"


@pytest.mark.parametrize("address", ["", "localhost", "host:", ":9092", "host:port", "host:70000", "a:1,b"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="write host:port"):
        BrokerSettings(bootstrap_servers=address)


def test_sasl_needs_a_user_and_a_password_and_hides_it() -> None:
    with pytest.raises(ValidationError, match="needs sasl_username and sasl_password"):
        BrokerSettings(security_protocol="SASL_SSL")
    settings = BrokerSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="me",
        sasl_password=SecretStr("hush-hush"),
        ssl_ca_location="/ca.pem",
    )
    assert "hush-hush" not in repr(settings)
    config = settings.consumer(group_id="g")
    assert (config["sasl.password"], config["sasl.mechanism"]) == ("hush-hush", "SCRAM-SHA-512")
    assert (config["security.protocol"], config["ssl.ca.location"]) == ("SASL_SSL", "/ca.pem")
    assert config["isolation.level"] == "read_committed"


def test_a_transaction_outlasts_a_request() -> None:
    with pytest.raises(ValidationError, match="request_timeout_ms 6000 is above transaction_timeout_ms 5000"):
        BrokerSettings(request_timeout_ms=6000, transaction_timeout_ms=5000)
    equal = BrokerSettings(request_timeout_ms=5000, transaction_timeout_ms=5000)
    Producer(equal.producer(transactional_id="t", transaction_timeout_ms=5000, delivery_timeout_ms=5000))


def test_plaintext_needs_no_tls_and_missing_files_are_named() -> None:
    assert BrokerSettings().ssl_context() is None
    with pytest.raises(UsageError, match=r"nowhere\.pem"):
        BrokerSettings(security_protocol="SSL", ssl_ca_location="/nowhere.pem").ssl_context()


def test_an_unknown_broker_is_named_within_the_bound() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(DependencyUnavailable, match=f"127.0.0.1:{port}"):
            KafkaTransport(BrokerSettings(bootstrap_servers=f"127.0.0.1:{port}", connect_timeout_s=0.5))
        assert time.monotonic() - began < 30
