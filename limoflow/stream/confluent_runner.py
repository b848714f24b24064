"""Runs one task in a process: batches in, outputs and positions out in one transaction (promise G2)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPosition

from limoflow.errors import DependencyUnavailable, InvariantBroken, UsageError
from limoflow.stream.broadcast import BroadcastReader
from limoflow.stream.dead_letters import PREFIX
from limoflow.stream.job_thread import JobThread
from limoflow.stream.kafka_errors import connect, failure, quiet, refused, to_record
from limoflow.stream.observer import SilentObserver, StreamObserver
from limoflow.stream.outage_log import OutageLog
from limoflow.stream.retry import RetryPolicy
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.signals import stop_on_signals
from limoflow.stream.task_feed import TaskFeed
from limoflow.stream.task_gauges import TaskGauges
from limoflow.stream.tracer import StreamTracer
from limoflow.stream.transaction import TransactionAborted, TransactionalWriter
from limoflow.stream.types import Emit, Interruptible, Record, Task, TopicPartition
from limoflow.stream.vital_signs import vital_signs
from schemas.headers import REASON, STAGE, header_text
from schemas.topics import REJECTED, dead_letters_of

_DEAD = dead_letters_of("")
_TICK_S = 0.2
_GATHER_S = 0.01
_LONG_JOB_S = 1.0
T = TypeVar("T")


class Stopped(Exception):
    """The runner was told to stop, and what it was doing did not end in time."""


class TaskRunner:
    """Runs a task until it is told to stop.

    Parameters
    ----------
    task : Task
    broker : BrokerSettings
    instance : str
        Tells the workers of one task apart, and stays the same over a worker's restarts.
    batch : int
        Records given to `process` at most.
    drain_s : float
        How long a stop waits for the batch in hand.
    tracer : StreamTracer, optional
        None records nothing.
    on_ready : callable, optional
        Called once, when the broadcast topics are read and the state is rebuilt.
    """

    def __init__(
        self,
        task: Task,
        broker: BrokerSettings,
        *,
        instance: str = "0",
        batch: int = 5000,
        drain_s: float = 25.0,
        observer: StreamObserver | None = None,
        policy: RetryPolicy | None = None,
        on_ready: Callable[[], None] | None = None,
        tracer: StreamTracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._task = task
        self._broker = broker
        self._instance = instance
        self._batch = batch
        self._drain_s = drain_s
        self._observer = observer or SilentObserver()
        self._policy = policy or RetryPolicy()
        self._on_ready = on_ready
        self._feed = TaskFeed(task)
        self._stopping = threading.Event()
        self._stop_by = float("inf")
        self._pending: list[Record] = []
        self._changes: list[tuple[bool, dict[TopicPartition, int]]] = []
        self._late: list[Message[Any, Any]] = []
        self._paused: set[TopicPartition] = set()
        self._joined = not self._feed.shared
        self._is_ready = self._is_open = False
        self._consumer: Consumer | None = None
        self._gauges = TaskGauges(task.name, self._observer, self._feed)
        self._in_hand = 0
        self._next_tick = 0.0
        self._waits = 0
        self._outages = OutageLog()

    def ready(self) -> bool:
        """Whether the worker handles records now."""
        return self._is_ready and not self._stopping.is_set()

    def stop(self) -> None:
        """Finish the batch in hand and end; may be called from a signal handler or another thread."""
        self._stop_by = min(self._stop_by, time.monotonic() + self._drain_s)
        self._stopping.set()
        if isinstance(self._task, Interruptible):
            self._task.stop()

    def run(self) -> int:
        """Work until `stop`, SIGTERM or SIGINT, and return 0.

        Raises
        ------
        DependencyUnavailable
            When no broker answers at the start.
        InvariantBroken
            When another worker goes on under the same name and instance.
        Exception
            What the task raised; nothing of that batch was written.
        """
        connect(self._broker)
        with stop_on_signals(self.stop):
            self._jobs = JobThread(f"limoflow-{self._task.name}")
            self._writer = TransactionalWriter(self._broker, f"{self._task.name}-{self._instance}", self._give_up)
            self._broadcast = BroadcastReader(self._broker, self._feed.broadcast)
            try:
                self._loop()
            except Stopped:
                self._writer.abort()
            finally:
                self._is_ready = False
                self._jobs.close()
                self._writer.close()
                self._broadcast.close()
                if self._consumer is not None:
                    self._consumer.close()
        return 0

    def _subscribed(self) -> Consumer | None:
        if not self._feed.shared:
            return None
        consumer = Consumer(
            self._broker.consumer(
                group_id=self._task.name,
                client_id=f"{self._task.name}-{self._instance}",
                partition_assignment_strategy="cooperative-sticky",
                error_cb=quiet,
                **vital_signs(f"the consumer of {self._task.name!r}"),
            )
        )
        consumer.subscribe(
            list(self._feed.shared), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
        )
        return consumer

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                self._step()
            except TransactionAborted as aborted:
                self._observer.retried(self._task.name, type(aborted).__name__)
                self._begin_anew()
            except DependencyUnavailable as outage:
                self._observer.retried(self._task.name, type(outage).__name__)
                self._outages.tell(self._task.name, outage)
                self._writer.abort()
                self._stopping.wait(self._policy.outage_pause(self._waits))
                self._waits += 1
                self._begin_anew()

    def _step(self) -> None:
        self._writer.poll()
        records = self._broadcast.poll(0 if self._broadcast.at_end else 0.05)
        if records:
            self._job(lambda: self._task.observe(records))
        if self._consumer is None and self._broadcast.at_end:
            # Not before: what the announcements say is over need not be restored.
            self._consumer = self._subscribed()
        self._receive()
        self._apply_changes()
        self._tell()
        if not self._gate():
            return
        if self._pending:
            batch, self._pending = self._pending, []
            self._in_hand = len(batch)
            self._transact(lambda: self._processed(batch))
            self._in_hand = 0
            self._observer.processed(self._task.name, len(batch))
        if time.monotonic() >= self._next_tick:
            written = self._transact(self._ticked)
            self._next_tick = time.monotonic() + (0 if written else _TICK_S)

    def _processed(self, batch: list[Record]) -> Iterable[Emit]:
        """Process a batch; runs in the thread of jobs."""
        if self._tracer is None:
            return self._task.process(batch)
        return self._tracer.processing(self._task.name, batch, self._task.process)

    def _ticked(self) -> Iterable[Emit]:
        """Do what is due without input; samples that enter here begin their traces."""
        emits = self._task.tick()
        return emits if self._tracer is None else map(self._tracer.entering(self._task.name), emits)

    def _receive(self) -> None:
        """Fetch what has come, a full batch if it is there, and restore from what was committed before."""
        until_tick = self._next_tick - time.monotonic()
        wait_s = max(0.0, min(_TICK_S, until_tick)) if self._is_open else _TICK_S
        if self._consumer is None:
            self._stopping.wait(wait_s)
            return
        messages, self._late = self._late, []
        messages += self._consumer.consume(1, timeout=0 if messages else wait_s)
        if messages:
            messages += self._consumer.consume(self._batch - 1, timeout=_GATHER_S)
        # A partition that was lost and came back begins again, and stands still until then. What is in hand of it is of
        # before: taken as its beginning it would have all that lies between pass for read.
        changed = {one for _, partitions in self._changes for one in partitions}
        self._apply_changes()
        self._sort(message for message in messages if _place(message) not in changed)

    def _sort(self, messages: Iterable[Message[Any, Any]]) -> None:
        records: list[Record] = []
        ended: list[tuple[TopicPartition, int]] = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(to_record(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                end = message.offset() or 0
                ended.append((_place(message), end))
            elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise UsageError(f"{error.str()}; `limoflow up` creates the topics")
            elif error.fatal():
                raise InvariantBroken(f"the consumer of {self._task.name!r} is broken: {error.str()}")
            elif refused(error):
                raise failure(self._broker, error, f"topic {message.topic()!r}, group {self._task.name!r}")
            else:
                self._observer.retried(self._task.name, error.name())
        restore, process = self._feed.take(records)
        if restore:
            self._job(lambda: self._task.restore(restore))
        self._pending += process
        for partition, end in ended:
            self._feed.reached(partition, end)

    def _gate(self) -> bool:
        """Whether records may be processed; until then, hold back all partitions but those that rebuild state."""
        restoring = self._feed.restoring
        self._is_open = self._joined and self._broadcast.at_end and not restoring
        self._hold(set() if self._is_open else {one for one in self._feed.partitions if one not in restoring})
        if self._is_open and not self._is_ready:
            self._is_ready = True
            if self._on_ready is not None:
                self._on_ready()
        return self._is_open

    def _hold(self, wanted: set[TopicPartition]) -> None:
        if self._consumer is not None and wanted != self._paused:
            self._paused &= set(self._feed.positions)
            self._consumer.resume(_positions(self._paused - wanted))
            self._consumer.pause(_positions(wanted - self._paused))
            self._paused = wanted

    def _transact(self, job: Callable[[], Iterable[Emit]]) -> int:
        began = time.perf_counter()
        written = self._job(lambda: self._writer.write(self._counted(job())))
        positions = self._feed.positions if written else self._feed.uncommitted()
        if not written and not positions:
            return 0
        self._fetch_ahead()
        ends = self._writer.commit(positions, self._consumer)
        self._feed.note_commit()
        self._waits = 0
        self._observer.committed(self._task.name, time.perf_counter() - began)
        if ends:
            self._job(lambda: self._task.delivered(ends))
        return written

    def _fetch_ahead(self) -> None:
        """Take what has come meanwhile, while the broker stores what was written."""
        if self._consumer is not None and not self._late:
            self._late = self._consumer.consume(self._batch, timeout=0)
            self._still_held()

    def _still_held(self) -> None:
        if any(not added for added, _ in self._changes):
            self._writer.abort()
            raise TransactionAborted(f"partitions of {self._task.name!r} went to another worker during a batch")

    def _counted(self, emits: Iterable[Emit]) -> Iterator[Emit]:
        for emit in emits:
            if emit.topic.startswith(_DEAD):
                self._observer.dead_lettered(
                    self._task.name, header_text(emit.headers, f"{PREFIX}errorclass") or "unknown"
                )
            elif emit.topic == REJECTED:
                self._observer.rejected(
                    header_text(emit.headers, STAGE) or self._task.name, header_text(emit.headers, REASON) or "unknown"
                )
            yield emit

    def _job(self, job: Callable[[], T]) -> T:
        """Run a method of the task; when it takes long, keep the membership of the group by polling.

        Raises
        ------
        TransactionAborted
            When partitions were taken away meanwhile, so that the batch is no longer this worker's.
        """
        future: Future[T] = self._jobs.submit(job)
        wait([future], timeout=_LONG_JOB_S)
        if not future.done():
            self._poll_through(future)
        result = future.result()
        self._still_held()
        return result

    def _poll_through(self, future: Future[Any]) -> None:
        self._hold(set(self._feed.positions))
        while not future.done():
            self._give_up()
            self._tell()
            if self._consumer is None:
                wait([future], timeout=_TICK_S)
            else:
                # What was on its way when the partitions were paused still comes.
                self._late += self._consumer.consume(self._batch, timeout=_TICK_S)

    def _begin_anew(self) -> None:
        """Forget what was not committed and read it again."""
        self._apply_changes()
        self._pending, self._late, self._in_hand = [], [], 0
        held = self._feed.forget(self._feed.partitions)
        if self._consumer is None or not held:
            return
        self._plain_job(lambda: self._task.revoked(held))
        starts = {one: self._feed.start(one, offset) for one, offset in self._committed(held).items()}
        for one, offset in starts.items():
            self._consumer.seek(_position(one, offset))
        self._plain_job(lambda: self._task.assigned(held))

    def _plain_job(self, job: Callable[[], None]) -> None:
        self._jobs.submit(job).result()

    def _apply_changes(self) -> None:
        """Tell the task of partitions that came and went, outside librdkafka's callbacks and any other method."""
        changes, self._changes = self._changes, []
        for added, partitions in changes:
            if added:
                for one, committed in partitions.items():
                    self._feed.start(one, committed)
                held = sorted(partitions)
                self._plain_job(lambda held=held: self._task.assigned(held))  # type: ignore[misc]
            else:
                gone = self._feed.forget(partitions)
                self._pending = [one for one in self._pending if (one.topic, one.partition) not in partitions]
                if gone:
                    self._plain_job(lambda gone=gone: self._task.revoked(gone))  # type: ignore[misc]

    def _on_assign(self, consumer: Consumer, partitions: list[KafkaPosition]) -> None:
        try:
            committed = self._committed([TopicPartition(one.topic, one.partition) for one in partitions], consumer)
        except DependencyUnavailable as error:
            # librdkafka would read on from positions that the task knows nothing of.
            raise InvariantBroken(f"the positions of {self._task.name!r} cannot be read: {error}") from error
        starts = [_position(one, self._feed.origin(one, offset)) for one, offset in committed.items()]
        consumer.incremental_assign(starts)
        # Until the change is applied (`_receive`, `_gate`) nothing of the new assignment may come.
        consumer.pause(partitions)
        self._paused |= set(committed)
        self._changes.append((True, committed))
        self._joined = True

    def _on_revoke(self, _consumer: Consumer, partitions: list[KafkaPosition]) -> None:
        self._changes.append((False, {TopicPartition(one.topic, one.partition): 0 for one in partitions}))

    def _committed(
        self, partitions: Iterable[TopicPartition], consumer: Consumer | None = None
    ) -> dict[TopicPartition, int]:
        asked = consumer or self._consumer
        if asked is None:
            return {}
        try:
            found = asked.committed(_positions(partitions), timeout=self._broker.connect_timeout_s)
        except KafkaException as error:
            raise failure(self._broker, error.args[0], f"group {self._task.name!r}") from error
        for one in found:
            if one.error is not None:
                raise failure(self._broker, one.error, f"group {self._task.name!r}")
        return {TopicPartition(one.topic, one.partition): max(0, one.offset) for one in found}

    def _give_up(self) -> None:
        if time.monotonic() > self._stop_by:
            raise Stopped

    def _tell(self) -> None:
        if self._consumer is not None and self._joined:
            self._gauges.tell(self._consumer, self._in_hand + len(self._pending) + len(self._late))


def run_task(task: Task, broker: BrokerSettings, **options: Any) -> int:
    """Run a task in this process until SIGTERM or SIGINT; see `TaskRunner` for options and errors."""
    return TaskRunner(task, broker, **options).run()


def _place(message: Message[Any, Any]) -> TopicPartition:
    return TopicPartition(str(message.topic()), int(message.partition() or 0))


def _position(partition: TopicPartition, offset: int) -> KafkaPosition:
    return KafkaPosition(partition.topic, partition.partition, offset or OFFSET_BEGINNING)


def _positions(partitions: Iterable[TopicPartition]) -> list[KafkaPosition]:
    return [KafkaPosition(one.topic, one.partition) for one in partitions]
