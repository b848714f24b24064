"""Many records of one stage in flight at once, acknowledged in order; the same for every transport."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from limoflow.errors import UsageError
from limoflow.stream.ledger import Entry, OrderedLedger
from limoflow.stream.observer import SilentObserver, StreamObserver
from limoflow.stream.outage_log import OutageLog
from limoflow.stream.retry import Outcome, RetryPolicy, dead, settle
from limoflow.stream.tracer import StreamSpan, StreamTracer
from limoflow.stream.types import Emit, Record, Stage, TopicPartition
from limoflow.stream.waiting import wait_at_most

Delivered = Callable[[Exception | None], None]
Write = Callable[[Sequence[Emit], Delivered], None]
"""Takes records, and what to call in the engine's event loop once all are delivered, or one is refused for good."""

_BREATH = 32


class _GivenUp(BaseException):
    """The engine drains, and the record waits for a dependency that is out."""


class StageEngine:
    """A fixed number of workers that handle records, and the ledger of what they have finished.

    A task for each record would cost as much as a short handler; a worker that finds the next record waiting does not
    even go through the event loop.

    Parameters
    ----------
    stage : Stage
    write : Write
        Raises an error for outputs that can never be written; the record is then dead-lettered.
    in_flight : int
        Records in handlers at once.
    tracer : StreamTracer, optional
        Makes a span of every sampled record, and lets its outputs carry the trace on.
    capacity : int, optional
        Records begun and not yet acknowledged, `16 * in_flight` by default: what a slow record may hold up.
    """

    def __init__(
        self,
        stage: Stage,
        write: Write,
        *,
        in_flight: int = 64,
        capacity: int | None = None,
        policy: RetryPolicy | None = None,
        observer: StreamObserver | None = None,
        tracer: StreamTracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._stage = stage
        self._write = write
        self._policy = policy or RetryPolicy()
        self._outages = OutageLog()
        self.observer = observer or SilentObserver()
        self.ledger = OrderedLedger(capacity or 16 * in_flight)
        self._waiting: asyncio.Queue[tuple[Entry, Record]] = asyncio.Queue()
        self._in_flight = in_flight
        self._workers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._failed = asyncio.Event()
        self._unsettled = 0
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start the workers in the running event loop."""
        self._workers = [asyncio.create_task(self._work()) for _ in range(self._in_flight)]

    def accept(self, record: Record) -> None:
        """Begin a record; a repeat of one that is in flight or done is passed over."""
        entry = self.ledger.begin(TopicPartition(record.topic, record.partition), record.offset)
        if entry is not None:
            self._unsettled += 1
            self._waiting.put_nowait((entry, record))

    async def room(self) -> None:
        """Wait until the ledger takes another record, or the engine fails."""
        while self.ledger.full and self.failure is None:
            await self.changed(1.0)

    async def changed(self, timeout_s: float) -> None:
        """Wait until some record finishes or the engine fails, at most that long."""
        self._changed.clear()
        await wait_at_most(self._changed, timeout_s)

    async def drain(self, timeout_s: float) -> None:
        """Finish what is in handlers; give up what is only queued, or waits for a dependency that is out."""
        self._stopping.set()
        await self.settled(timeout_s)

    async def settled(self, timeout_s: float) -> None:
        """Wait until every record that was begun is finished or given up, at most that long."""
        deadline = time.monotonic() + timeout_s
        while self._unsettled and self.failure is None and (left := deadline - time.monotonic()) > 0:
            await self.changed(left)

    async def failed(self) -> BaseException:
        """Wait until the engine fails and return why."""
        while self.failure is None:
            await self._failed.wait()
        return self.failure

    def fail(self, error: BaseException) -> None:
        """Note that the process must end; must be called in the engine's event loop."""
        if self.failure is None:
            self.failure = error
        self._failed.set()
        self._changed.set()

    async def stop(self) -> None:
        """Cancel the workers; what they had begun stays unacknowledged."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self) -> None:
        handled = 0
        while True:
            entry, record = await self._waiting.get()
            if self._stopping.is_set() or not entry.line.entries:
                self._settled_one()
            elif self._tracer is None:
                await self._handle(entry, record)
            else:
                with self._tracer.handling(self._stage.name, record) as span:
                    await self._handle(entry, record, span)
            handled += 1
            if handled % _BREATH == 0:
                await asyncio.sleep(0)

    async def _handle(self, entry: Entry, record: Record, span: StreamSpan | None = None) -> None:
        began = time.perf_counter()
        try:
            outcome = await settle(
                self._stage,
                record,
                self._policy,
                sleep=self._sleep,
                observer=self.observer,
                outages=self._outages,
            )
        except _GivenUp:
            self._settled_one()
            return
        except Exception as error:  # noqa: BLE001 - whatever settle lets through ends the process
            self.fail(error)
            return
        self.observer.handled(self._stage.name, outcome.word, time.perf_counter() - began)
        if span is not None:
            span.outcome(outcome.word, outcome.error)
            outcome = replace(outcome, emits=tuple(span.carried(one) for one in outcome.emits))
        self._deliver(entry, record, outcome)

    def _deliver(self, entry: Entry, record: Record, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.observer.dead_lettered(self._stage.name, type(outcome.error).__name__)

        def delivered(refusal: Exception | None) -> None:
            if refusal is None:
                self._finish(entry)
            else:
                self._refused(entry, record, outcome, refusal)

        try:
            if outcome.emits:
                self._write(outcome.emits, delivered)
            else:
                self._finish(entry)
        except Exception as refusal:  # noqa: BLE001 - decided by kind in _refused
            self._refused(entry, record, outcome, refusal)

    def _refused(self, entry: Entry, record: Record, outcome: Outcome, refusal: Exception) -> None:
        """Dead-letter the record whose outputs no broker takes; end the process where the record is not to blame."""
        if outcome.error is not None or not isinstance(refusal, UsageError):
            self.fail(refusal)
        else:
            self._deliver(entry, record, dead(self._stage, record, refusal, 1))

    def _finish(self, entry: Entry) -> None:
        self.ledger.finish(entry)
        self._settled_one()

    def _settled_one(self) -> None:
        self._unsettled -= 1
        self._changed.set()

    async def _sleep(self, seconds: float) -> None:
        """Wait to try again; a stop ends the wait, and the record stays unacknowledged."""
        if await wait_at_most(self._stopping, seconds):
            raise _GivenUp
