"""One transactional producer: outputs and positions, both or neither."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaPosition

from limoflow.errors import AccessDenied, InvariantBroken, LimoflowError
from limoflow.stream.kafka_errors import failure, quiet, refused
from limoflow.stream.kafka_transport import produce
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.types import Emit, TopicPartition
from limoflow.stream.vital_signs import vital_signs
from limoflow.stream.watchdog import Watchdog

T = TypeVar("T")
_SERVE_EVERY = 1000
_RETRY_S = 0.2
_PATIENCE = 12


class TransactionAborted(LimoflowError):
    """Nothing of the batch was written; it must be handled again from what was committed."""


class TransactionalWriter:
    """Writes batches under one transactional id.

    Parameters
    ----------
    transactional_id : str
        A process that begins with the same id aborts what an earlier one left open, and fences it off.
    give_up : callable
        Asked before a call that the broker did not answer is tried again; it raises to end that.

    Raises
    ------
    InvariantBroken
        From any method: when the broker did not take a call for twelve times `connect_timeout_s`. While a call is tried
        again nobody polls the consumer, so the worker falls out of its group; a new process with a new producer heals
        that.
    """

    def __init__(self, settings: BrokerSettings, transactional_id: str, give_up: Callable[[], None]) -> None:
        self._settings = settings
        self._id = transactional_id
        self._give_up = give_up
        self._producer = Producer(
            settings.producer(
                transactional_id=transactional_id,
                transaction_timeout_ms=settings.transaction_timeout_ms,
                delivery_timeout_ms=min(settings.delivery_timeout_ms, settings.transaction_timeout_ms),
                error_cb=quiet,
                **vital_signs(f"the producer of transactional id {transactional_id!r}"),
            )
        )
        self._watchdog = Watchdog(4 * settings.connect_timeout_s)
        self._open = False
        self._lasts: dict[tuple[Any, Any], Any] = {}
        self._retried(lambda: self._producer.init_transactions(settings.connect_timeout_s))

    def write(self, emits: Iterable[Emit]) -> int:
        """Write records within the transaction and return their number; may be called from another thread."""
        written = 0
        with self._or_nothing():
            for emit in emits:
                self._begin()
                produce(self._producer, self._settings, emit, self._delivered)
                written += 1
                if written % _SERVE_EVERY == 0:
                    self._producer.poll(0)
        return written

    def commit(self, positions: Mapping[TopicPartition, int], consumer: Consumer | None) -> dict[TopicPartition, int]:
        """Commit what was written with the positions of the consumer's group.

        Returns
        -------
        dict of TopicPartition to int
            The offset after the last record written to each partition.

        Raises
        ------
        TransactionAborted
            Nothing was written; partitions moved to another worker, or the broker refused a record.
        AccessDenied
            The same, for want of a right.
        InvariantBroken
            Another process goes on under the same transactional id.
        """
        self._begin()
        with self._or_nothing():
            self._flush()
            if consumer is not None and positions:
                metadata = consumer.consumer_group_metadata()
                offsets = [KafkaPosition(one.topic, one.partition, offset) for one, offset in positions.items()]
                self._retried(
                    lambda: self._producer.send_offsets_to_transaction(
                        offsets, metadata, self._settings.connect_timeout_s
                    )
                )
            self._retried(lambda: self._producer.commit_transaction(self._settings.connect_timeout_s))
        self._open = False
        lasts, self._lasts = self._lasts, {}
        return {TopicPartition(topic, partition): offset + 1 for (topic, partition), offset in lasts.items()}

    def poll(self) -> None:
        """Serve what the client reports, also while there is nothing to write."""
        self._producer.poll(0)

    def close(self) -> None:
        """Have nothing more to write."""
        self._watchdog.close()

    def abort(self) -> None:
        """Drop what was written since the last commit."""
        if self._open:
            self._retried(lambda: self._producer.abort_transaction(self._settings.connect_timeout_s))
            self._producer.poll(0)
        self._open = False
        self._lasts = {}

    @contextmanager
    def _or_nothing(self) -> Iterator[None]:
        """Abort a transaction that was refused: while it is open, it holds up every reader of what it wrote to."""
        try:
            yield
        except TransactionAborted:
            self.abort()
            raise
        except AccessDenied:
            # Where it refused every topic, the broker knows of no transaction, and says so by a fatal error.
            with suppress(InvariantBroken):
                self.abort()
            raise

    def _begin(self) -> None:
        if not self._open:
            self._producer.begin_transaction()
            self._open = True

    def _flush(self) -> None:
        """Wait for every delivery report; `commit_transaction` alone would not call them."""
        while self._producer.flush(self._settings.connect_timeout_s):
            self._give_up()

    def _delivered(self, error: KafkaError | None, message: Message[Any, Any]) -> None:
        if error is None:
            # Reports of one partition come in the order of its offsets.
            self._lasts[message.topic(), message.partition()] = message.offset()

    def _retried(self, call: Callable[[], T]) -> T:
        patience_s = _PATIENCE * self._settings.connect_timeout_s
        give_up_at = time.monotonic() + patience_s
        while True:
            try:
                with self._watchdog.watching(f"a call of transactional id {self._id!r}"):
                    return call()
            except KafkaException as error:
                self._judge(error.args[0], error)
                if time.monotonic() > give_up_at:
                    raise InvariantBroken(
                        f"the broker has not taken a call of transactional id {self._id!r} for {patience_s:g} s: "
                        f"{error.args[0].str()}; the process ends, to be started anew"
                    ) from error
            self._give_up()
            self.poll()
            time.sleep(_RETRY_S)

    def _judge(self, error: KafkaError, cause: KafkaException) -> None:
        """Return where the call may be tried again, else raise what the error means."""
        if refused(error):
            raise failure(self._settings, error, f"transactional id {self._id!r}") from cause
        if error.fatal():
            raise InvariantBroken(
                f"the transactional id {self._id!r} was taken over by another process, or is broken: {error.str()}; "
                "give every worker an instance name of its own"
            ) from cause
        if error.txn_requires_abort():
            raise TransactionAborted(f"transaction of {self._id!r}: {error.str()}") from cause
        if not error.retriable():
            raise failure(self._settings, error, f"transactional id {self._id!r}") from cause
