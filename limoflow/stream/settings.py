"""Where the broker is and how to speak to it; the only place with librdkafka's names for these things."""

from __future__ import annotations

import logging
import ssl
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from limoflow.errors import UsageError

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The largest record, in bytes; a release manifest is one record."""

METADATA_MAX_AGE_MS = 10_000
"""How often a client asks where brokers and leaders are."""

_MIB = 1024 * 1024
_LOG = logging.getLogger("limoflow.stream.kafka")
# Where nobody has set up logs (the command line), errors are told by exceptions alone.
_LOG.addHandler(logging.NullHandler())


class BrokerSettings(BaseSettings):
    """A Kafka broker, from `LIMOFLOW_KAFKA_*` or by argument.

    Attributes
    ----------
    bootstrap_servers : str
        `host:port`, several separated by commas.
    security_protocol, sasl_mechanism, sasl_username, sasl_password
        As Kafka names them.
    ssl_ca_location, ssl_certificate_location, ssl_key_location : str, optional
        Paths of PEM files.
    partitions : int
        Of the topics that are marked `work`.
    replication_factor : int
        Of the topics that limoflow creates.
    session_timeout_ms : int
        After this silence a worker counts as dead and its partitions move.
    transaction_timeout_ms : int
        The longest transaction; also how long an abandoned one can hold up readers.
    delivery_timeout_ms : int
        The longest wait for the broker to take a record.
    request_timeout_ms : int
        How long the broker may leave a request unanswered before a client connects anew.
    connect_timeout_s : float
        How long a command waits for a broker that does not answer.
    """

    # A message about a missing user must not show the password beside it.
    model_config = SettingsConfigDict(
        env_prefix="LIMOFLOW_KAFKA_", extra="forbid", frozen=True, hide_input_in_errors=True
    )

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: str | None = None
    ssl_certificate_location: str | None = None
    ssl_key_location: str | None = None
    partitions: int = Field(default=4, ge=1)
    replication_factor: int = Field(default=1, ge=1)
    session_timeout_ms: int = Field(default=10_000, ge=1_000)
    transaction_timeout_ms: int = Field(default=300_000, ge=1_000, le=900_000)
    delivery_timeout_ms: int = Field(default=120_000, ge=1_000)
    request_timeout_ms: int = Field(default=30_000, ge=1_000)
    connect_timeout_s: float = Field(default=10.0, gt=0)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        for address in self.addresses:
            host, _, port = address.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65_536:
                raise ValueError(
                    f"bootstrap_servers: {address!r} is no address; write host:port, such as 127.0.0.1:9092"
                )
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(
                f"security_protocol {self.security_protocol} needs sasl_username and sasl_password "
                "(LIMOFLOW_KAFKA_SASL_USERNAME, LIMOFLOW_KAFKA_SASL_PASSWORD)"
            )
        if self.request_timeout_ms > self.transaction_timeout_ms:
            raise ValueError(
                f"request_timeout_ms {self.request_timeout_ms} is above transaction_timeout_ms "
                f"{self.transaction_timeout_ms}; a transaction must outlast a request: lower the one or raise the other"
            )
        return self

    @property
    def addresses(self) -> list[str]:
        """Each bootstrap address on its own."""
        return [address.strip() for address in self.bootstrap_servers.split(",") if address.strip()] or [""]

    def client(self, **extra: Any) -> dict[str, Any]:
        """Return librdkafka's configuration of any client; `extra` holds further keys, with `_` for `.`."""
        config: dict[str, Any] = {
            "bootstrap.servers": ",".join(self.addresses),
            "security.protocol": self.security_protocol,
            "ssl.ca.location": self.ssl_ca_location,
            "ssl.certificate.location": self.ssl_certificate_location,
            "ssl.key.location": self.ssl_key_location,
            "reconnect.backoff.max.ms": 2_000,
            # With re-bootstrap librdkafka 2.16 loses the coordinator when the broker was away: calls never return, and
            # processes have crashed (docs/decisions/0015).
            "metadata.recovery.strategy": "none",
            # A question without an answer finds a lost connection before work does; librdkafka asks every five minutes.
            "topic.metadata.refresh.interval.ms": METADATA_MAX_AGE_MS,
            # For a producer of transactions librdkafka's own choice is the time a transaction may last: where a machine
            # is lost and its connections stay open, such a producer would wait that long (docs/decisions/0015).
            "socket.timeout.ms": self.request_timeout_ms,
            # Without it librdkafka writes to standard error on its own.
            "logger": _LOG,
        }
        if self.security_protocol.startswith("SASL") and self.sasl_password is not None:
            config |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": self.sasl_password.get_secret_value(),
            }
        config |= {name if name.endswith("_cb") else name.replace("_", "."): value for name, value in extra.items()}
        return {name: value for name, value in config.items() if value is not None}

    def producer(self, **extra: Any) -> dict[str, Any]:
        """Return the configuration of a producer: idempotent, acks=all, keys placed as in Java."""
        defaults = {
            "enable_idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",
            "linger_ms": 5,
            "batch_size": 512 * 1024,
            "message_max_bytes": MAX_MESSAGE_BYTES,
            "queue_buffering_max_kbytes": 128 * 1024,
            "delivery_timeout_ms": self.delivery_timeout_ms,
        }
        return self.client(**{**defaults, **extra})

    def consumer(self, **extra: Any) -> dict[str, Any]:
        """Return the configuration of a consumer: committed records only, partition ends reported, no auto-commit."""
        defaults = {
            "isolation_level": "read_committed",
            "enable_auto_commit": False,
            "enable_partition_eof": True,
            "auto_offset_reset": "earliest",
            "session_timeout_ms": self.session_timeout_ms,
            "heartbeat_interval_ms": max(300, self.session_timeout_ms // 5),
            "fetch_wait_max_ms": 500,
            # librdkafka's own choice is to fetch nothing for a second once its queue was full.
            "fetch_queue_backoff_ms": 10,
            "fetch_max_bytes": MAX_MESSAGE_BYTES + _MIB,
            "message_max_bytes": MAX_MESSAGE_BYTES,
            "receive_message_max_bytes": MAX_MESSAGE_BYTES + 2 * _MIB,
            "queued_max_messages_kbytes": 16 * 1024,
        }
        return self.client(**{**defaults, **extra})

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context for clients in Python, or None where the connection is not encrypted.

        Raises
        ------
        UsageError
            When a certificate or key file cannot be read.
        """
        if "SSL" not in self.security_protocol:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ssl_ca_location)
            if self.ssl_certificate_location is not None:
                context.load_cert_chain(self.ssl_certificate_location, self.ssl_key_location)
        except OSError as error:
            files = (self.ssl_ca_location, self.ssl_certificate_location, self.ssl_key_location)
            raise UsageError(f"the TLS files {[name for name in files if name]} cannot be used: {error}") from error
        return context
