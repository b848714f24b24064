"""KafkaError as limoflow's errors, and records as librdkafka hands them over."""

from __future__ import annotations

from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaException
from confluent_kafka.admin import AdminClient

from limoflow.errors import DependencyUnavailable
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.types import Record


def quiet(_error: Any) -> None:
    """Leave connection errors to the calls that they concern; librdkafka reconnects on its own."""


def unreachable(settings: BrokerSettings, error: BaseException | str) -> DependencyUnavailable:
    """Return the error of a broker that does not answer, naming its address."""
    return DependencyUnavailable(
        f"the Kafka broker at {settings.bootstrap_servers} ({settings.security_protocol}) does not answer: {error}; "
        "start one with `limoflow up`, or set LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS"
    )


def connect(settings: BrokerSettings) -> AdminClient:
    """Return an admin client of a broker that answers.

    Raises
    ------
    DependencyUnavailable
        When none answers within `connect_timeout_s`.
    """
    admin = AdminClient(settings.client(error_cb=quiet))
    try:
        admin.list_topics(timeout=settings.connect_timeout_s)
    except KafkaException as error:
        raise unreachable(settings, error.args[0].str()) from error
    return admin


def to_record(message: Any) -> Record:
    """Return librdkafka's message as a record."""
    kind, timestamp = message.timestamp()
    headers = message.headers()
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.key(),
        message.value(),
        () if headers is None else tuple(headers),
        0 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp,
    )
