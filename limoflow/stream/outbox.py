"""Outputs of a stage through one idempotent producer, with word of their delivery."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from limoflow.errors import UsageError
from limoflow.stream.kafka_errors import failure, quiet
from limoflow.stream.kafka_transport import produce
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.stage_engine import Delivered
from limoflow.stream.types import Emit
from limoflow.stream.vital_signs import vital_signs
from limoflow.stream.waiting import wait_at_most

_POLL_EVERY_S = 0.002
_IDLE_POLL_S = 1.0


class _Delivery:
    """Counts the records of one write that are still under way."""

    __slots__ = ("done", "left", "outbox")

    def __init__(self, outbox: Outbox, left: int, done: Delivered) -> None:
        self.outbox = outbox
        self.left = left
        self.done = done

    def __call__(self, error: KafkaError | None, message: Message[Any, Any]) -> None:
        self.outbox.under_way -= 1
        if error is not None:
            self.done(self.outbox.refusal(error, message.topic()))
            return
        self.left -= 1
        if not self.left:
            self.done(None)


class Outbox:
    """Writes records and reports each write once all of it is delivered. Belongs to one event loop.

    Attributes
    ----------
    under_way : int
        Records handed over and not yet reported on.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._producer = Producer(settings.producer(error_cb=quiet, **vital_signs("the producer of a stage's outputs")))
        self.under_way = 0
        self._written = asyncio.Event()

    def write(self, emits: Sequence[Emit], done: Delivered) -> None:
        """Hand records to the producer; `done` is called by `serve` after the last one's delivery, or a refusal.

        Raises
        ------
        UsageError
            When a record is larger than the broker takes.
        """
        delivery = _Delivery(self, len(emits), done)
        for emit in emits:
            produce(self._producer, self._settings, emit, delivery)
            self.under_way += 1
        self._written.set()

    def refusal(self, error: KafkaError, topic: str | None) -> Exception:
        """Return the broker's refusal as `UsageError` where the record is to blame, else what it means here."""
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return UsageError(f"an output is larger than its topic takes: {error.str()}")
        return failure(self._settings, error, f"an output for topic {topic!r} was not delivered")

    async def serve(self) -> None:
        """Collect delivery reports for ever: in the event loop and in batches, so that none of them wakes a thread."""
        while True:
            self._producer.poll(0)
            if self.under_way:
                await asyncio.sleep(_POLL_EVERY_S)
            else:
                self._written.clear()
                await wait_at_most(self._written, _IDLE_POLL_S)

    def flush(self, timeout_s: float) -> bool:
        """Wait for what is under way and say whether all of it is delivered."""
        return bool(self._producer.flush(timeout_s) == 0)
