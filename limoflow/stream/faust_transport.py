"""Faust's Kafka transport with the ordered ledger in place of Faust's own acknowledgements.

Faust acks an event when its agent raises, when its generation is old, and over gaps of offsets in ways that pass
records in flight. Here its acks do nothing: what is committed is what the ledger says. And the consumer reads
committed records only, for samples.raw is written in transactions.
"""

from __future__ import annotations

import time
from typing import Any, cast

import aiokafka
import faust
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport, credentials_to_aiokafka_auth
from faust.types import TP

from limoflow.stream.settings import METADATA_MAX_AGE_MS, BrokerSettings
from limoflow.stream.stage_engine import StageEngine
from limoflow.stream.types import TopicPartition

_REVOKE_S = 2.0
_JOINING_MS = 10_000


class StageApp(faust.App):
    """A Faust app that carries the engine of its one stage."""

    engine: StageEngine
    broker_settings: BrokerSettings


class LedgerConsumerThread(AIOKafkaConsumerThread):
    """The thread of aiokafka's consumer."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002
        conf = self.app.conf
        settings = cast(StageApp, self.app).broker_settings
        rebalance_ms = max(settings.session_timeout_ms, settings.request_timeout_ms)
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            bootstrap_servers=settings.addresses,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=conf.broker_max_poll_records,
            # Faust polls from its own loop, whatever the handlers do; a worker that hangs is seen by its lag.
            max_poll_interval_ms=3_600_000,
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=500,
            # Joining a group is a request too: its answer comes when the others have joined.
            request_timeout_ms=rebalance_ms + _JOINING_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            session_timeout_ms=settings.session_timeout_ms,
            rebalance_timeout_ms=rebalance_ms,
            heartbeat_interval_ms=max(300, settings.session_timeout_ms // 5),
            **credentials_to_aiokafka_auth(conf.broker_credentials, conf.ssl_context),
        )

    def fetched(self, partition: TP) -> int:
        """Return the offset up to which a partition was fetched, over the markers of transactions; 0 if unknown."""
        subscription = self._ensure_consumer()._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        state = assignment.state_value(partition) if assignment is not None else None
        return int(state.position) if state is not None and state.has_valid_position else 0


class LedgerConsumer(Consumer):
    """Commits what the ledger says, and nothing else."""

    def _new_consumer_thread(self) -> LedgerConsumerThread:
        return LedgerConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def ack(self, message: Any) -> bool:  # noqa: ARG002
        """Take no notice of an ack by Faust."""
        return False

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Take no notice of a gap: the ledger goes by the order of arrival."""

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002
        """Commit the finished prefix of every partition."""
        positions = cast(StageApp, self.app).engine.ledger.take()
        if not positions:
            return False
        app, began = cast(StageApp, self.app), time.perf_counter()
        done = bool(await self._commit({TP(one.topic, one.partition): end for one, end in positions.items()}))
        if done:
            app.engine.observer.committed(app.conf.id, time.perf_counter() - began)
        return done

    async def lags(self) -> dict[TopicPartition, int]:
        """Return how many records of each assigned partition are not finished.

        Up to the last stable offset. The markers of transactions count only while records are still to be fetched:
        once everything was fetched it is exactly what is in flight, so a quiet partition has a lag of 0.
        """
        held = sorted(self.assignment())
        ends = await self.highwaters(*held) if held else {}
        return {TopicPartition(one.topic, one.partition): self._lag(one, end) for one, end in ends.items()}

    def _lag(self, partition: TP, end: int) -> int:
        engine = cast(StageApp, self.app).engine
        fetched = cast(LedgerConsumerThread, self._thread).fetched(partition)
        standing = engine.ledger.standing(TopicPartition(partition.topic, partition.partition))
        if standing is None:
            return max(0, end - fetched)
        first, in_flight = standing
        return in_flight if fetched >= end and not engine.ledger.full else max(in_flight, end - first)

    async def wait_empty(self) -> None:
        """Finish what can be finished soon, commit it, and forget the rest: the partitions are being taken away."""
        engine = cast(StageApp, self.app).engine
        await engine.settled(_REVOKE_S)
        await self.commit()
        engine.ledger.forget()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Raise no alarm over slow progress: waiting for a dependency that is out looks just so."""


class LedgerTransport(Transport):
    """Faust's transport with the consumer above."""

    Consumer = LedgerConsumer


def credentials(settings: BrokerSettings) -> SASLCredentials | SSLCredentials | None:
    """Return Faust's form of the broker's credentials."""
    context = settings.ssl_context()
    if settings.sasl_password is not None and settings.security_protocol.startswith("SASL"):
        return SASLCredentials(
            username=settings.sasl_username,
            password=settings.sasl_password.get_secret_value(),
            mechanism=settings.sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)


def stage_app(name: str, settings: BrokerSettings, engine: StageEngine, datadir: str) -> StageApp:
    """Return an app for one stage: no web server, no topics of its own, no leader election."""
    app = StageApp(
        name,
        broker=[f"kafka://{address}" for address in settings.addresses],
        broker_credentials=credentials(settings),
        broker_session_timeout=settings.session_timeout_ms / 1000,
        broker_heartbeat_interval=max(0.3, settings.session_timeout_ms / 5000),
        broker_commit_interval=0.5,
        broker_max_poll_records=500,
        stream_buffer_maxsize=512,
        store="memory://",
        datadir=datadir,
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        autodiscover=False,
    )
    app.engine = engine
    app.broker_settings = settings
    app.transport = LedgerTransport(app.conf.broker_consumer, app)
    return app
