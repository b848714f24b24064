"""KafkaError as limoflow's errors, and records as librdkafka hands them over."""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from typing import Any

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from limoflow.errors import AccessDenied, DependencyUnavailable
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.types import Record

_LOOK_S = 0.5
_UNKNOWN_USER = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
_NO_RIGHT = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)


def quiet(_error: Any) -> None:
    """Leave connection errors to the calls that they concern; librdkafka reconnects on its own."""


def unreachable(settings: BrokerSettings, error: BaseException | str) -> DependencyUnavailable:
    """Return the error of a broker that does not answer, naming its address."""
    return DependencyUnavailable(
        f"the Kafka broker at {settings.bootstrap_servers} ({settings.security_protocol}) does not answer: {error}; "
        "start one with `limoflow up`, or check LIMOFLOW_KAFKA_BOOTSTRAP_SERVERS and LIMOFLOW_KAFKA_SECURITY_PROTOCOL"
    )


def refused(error: KafkaError) -> bool:
    """Whether the broker denies a user or a right, so that trying again does not help."""
    return error.code() in _UNKNOWN_USER | _NO_RIGHT


def failure(settings: BrokerSettings, error: KafkaError, what: str = "") -> AccessDenied | DependencyUnavailable:
    """Return what an error of librdkafka means: a refusal that no waiting helps, or a broker that does not answer.

    Parameters
    ----------
    what : str
        The topic, group or transactional id that the call was about.
    """
    about = f"{what}: {error.str()}" if what else error.str()
    place = f"the Kafka broker at {settings.bootstrap_servers} ({settings.security_protocol})"
    if error.code() in _UNKNOWN_USER:
        return AccessDenied(
            f"{place} refuses user {settings.sasl_username!r}: {about}; "
            "check LIMOFLOW_KAFKA_SASL_USERNAME, LIMOFLOW_KAFKA_SASL_PASSWORD and LIMOFLOW_KAFKA_SASL_MECHANISM"
        )
    if error.code() in _NO_RIGHT:
        return AccessDenied(
            f"{place} gives user {settings.sasl_username!r} no right: {about}; "
            "schemas/topics.yaml says who writes and reads a topic, deploy/k8s makes the rights of it"
        )
    if error.code() == KafkaError._SSL:
        return AccessDenied(
            f"no encrypted connection to {place}: {_of_certificate(settings) or about}; "
            "check its certificate and LIMOFLOW_KAFKA_SSL_CA_LOCATION"
        )
    return unreachable(settings, about)


def connect(settings: BrokerSettings) -> AdminClient:
    """Return an admin client of a broker that answers.

    Raises
    ------
    AccessDenied
        At once, when it refuses the user, or its certificate cannot be trusted.
    DependencyUnavailable
        When none answers within `connect_timeout_s`.
    """
    heard: deque[KafkaError] = deque(maxlen=8)
    admin = AdminClient(settings.client(error_cb=heard.append))
    deadline = time.monotonic() + settings.connect_timeout_s
    while True:
        try:
            admin.list_topics(timeout=max(0.01, min(_LOOK_S, deadline - time.monotonic())))
        except KafkaException as error:
            admin.poll(0)
            refusals = [found for one in heard if isinstance(found := failure(settings, one), AccessDenied)]
            if refusals:
                raise refusals[-1] from error
            if time.monotonic() >= deadline:
                told = [one for one in heard if one.code() != KafkaError._ALL_BROKERS_DOWN]
                raise failure(settings, told[-1] if told else error.args[0]) from error
        else:
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


def _of_certificate(settings: BrokerSettings) -> str:
    """Say what is wrong with the broker's certificate, which librdkafka does not; empty where nothing is found."""
    context = settings.ssl_context()
    if context is None:
        return ""
    for address in settings.addresses:
        host, _, port = address.rpartition(":")
        try:
            with (
                socket.create_connection((host, int(port)), settings.connect_timeout_s) as connection,
                context.wrap_socket(connection, server_hostname=host),
            ):
                continue
        except ssl.SSLCertVerificationError as error:
            return f"the certificate of {address} is refused: {error.verify_message}"
        except OSError as error:
            return f"{address}: {error}"
    return ""
