"""Runs one stage in a process, on Faust (promises G2, G4, G5, G6).

Faust brings the consumer group, the prefetching and the stream; limoflow.stream.faust_transport says what is committed.
Outputs go through a confluent producer and are delivered before their record is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any, cast

from limoflow.errors import DependencyUnavailable
from limoflow.stream.broadcast import BroadcastReader, BroadcastThread
from limoflow.stream.faust_transport import LedgerConsumer, StageApp, stage_app
from limoflow.stream.kafka_errors import connect
from limoflow.stream.kafka_transport import partitions_of
from limoflow.stream.observer import SilentObserver, StreamObserver
from limoflow.stream.outbox import Outbox
from limoflow.stream.retry import RetryPolicy
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.stage_engine import StageEngine
from limoflow.stream.tracer import StreamTracer
from limoflow.stream.types import Record, Stage, TopicPartition

_LEAVE_S = 10.0
_TELL_EVERY_S = 1.0
_LAG_EVERY_S = 5.0
_LOOK_EVERY_S = 0.2


class StageRunner:
    """Runs a stage until it is told to stop.

    Parameters
    ----------
    stage : Stage
    broker : BrokerSettings
    in_flight : int
        Records in handlers at once.
    drain_s : float
        How long a stop waits for them.
    datadir : str, optional
        Faust's folder; nothing of worth is kept in it. A temporary one by default.
    tracer : StreamTracer, optional
        None records nothing.
    on_ready : callable, optional
        Called once, when the broadcast topics are read and the worker has joined its group.
    """

    def __init__(
        self,
        stage: Stage,
        broker: BrokerSettings,
        *,
        in_flight: int = 64,
        drain_s: float = 25.0,
        observer: StreamObserver | None = None,
        policy: RetryPolicy | None = None,
        datadir: str | None = None,
        on_ready: Callable[[], None] | None = None,
        tracer: StreamTracer | None = None,
    ) -> None:
        self._tracer = tracer
        self._stage = stage
        self._broker = broker
        self._in_flight = in_flight
        self._drain_s = drain_s
        self._observer = observer or SilentObserver()
        self._policy = policy or RetryPolicy()
        self._datadir = datadir
        self._on_ready = on_ready
        self._is_ready = False
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told_to_stop = threading.Event()
        self._told_lag: set[TopicPartition] = set()

    def ready(self) -> bool:
        """Whether the worker takes in records now."""
        return self._is_ready

    def stop(self) -> None:
        """Finish what is in flight and end; may be called from another thread."""
        self._told_to_stop.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stopping.set)

    def run(self) -> int:
        """Work until `stop`, SIGTERM or SIGINT, and return 0.

        Raises
        ------
        DependencyUnavailable
            When no broker answers at the start, or it does not take an output in time.
        InvariantBroken
            Raised by the stage.
        """
        partitions_of(connect(self._broker), self._stage.topic, self._broker)
        if self._datadir is not None:
            return asyncio.run(self._main(self._datadir))
        with tempfile.TemporaryDirectory(prefix="limoflow-faust-") as folder:
            return asyncio.run(self._main(folder))

    async def _main(self, datadir: str) -> int:
        self._loop = asyncio.get_running_loop()
        self._handle_signals(self._loop)
        outbox = Outbox(self._broker)
        engine = StageEngine(
            self._stage,
            outbox.write,
            in_flight=self._in_flight,
            policy=self._policy,
            observer=self._observer,
            tracer=self._tracer,
        )
        following = BroadcastThread(
            BroadcastReader(self._broker, self._stage.broadcast),
            self._stage.observe,
            lambda error: self._from_thread(lambda: engine.fail(error)),
        )
        following.start()
        engine.start()
        serving = asyncio.create_task(outbox.serve())
        try:
            await self._work(engine, outbox, following, datadir)
        finally:
            self._is_ready = False
            await engine.stop()
            serving.cancel()
            await asyncio.to_thread(following.stop)
            await self._stage.close()
        if engine.failure is not None:
            raise engine.failure
        return 0

    async def _work(self, engine: StageEngine, outbox: Outbox, following: BroadcastThread, datadir: str) -> None:
        while not await asyncio.to_thread(following.wait_at_end, _LOOK_EVERY_S):
            if self._over(engine):
                return
        app = stage_app(self._stage.name, self._broker, engine, datadir)
        self._add_intake(app, engine)
        try:
            await app.start()
            telling = asyncio.create_task(self._tell(app, engine))
            await self._until_over(app, engine)
            telling.cancel()
            self._is_ready = False
            if engine.failure is None:
                await self._drain(app, engine, outbox)
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(app.stop(), _LEAVE_S)

    def _add_intake(self, app: StageApp, engine: StageEngine) -> None:
        topic = app.topic(self._stage.topic, key_serializer="raw", value_serializer="raw")

        async def intake(stream: Any) -> None:
            async for event in stream.noack().events():
                if self._over(engine):
                    await asyncio.Event().wait()
                engine.accept(_record(event.message))
                if engine.ledger.full:
                    await engine.room()

        app.agent(topic, name=f"{self._stage.name}.intake")(intake)

    async def _until_over(self, app: StageApp, engine: StageEngine) -> None:
        ends = (self._stopping.wait(), engine.failed(), app.wait_until_stopped())
        waits = [asyncio.ensure_future(one) for one in ends]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        if app.crash_reason is not None:
            reason = f"the consumer of {self._stage.name!r} has ended: {app.crash_reason!r}; restart the process"
            engine.fail(DependencyUnavailable(reason))

    async def _drain(self, app: StageApp, engine: StageEngine, outbox: Outbox) -> None:
        deadline = time.monotonic() + self._drain_s
        await engine.drain(self._drain_s)
        await app.consumer.commit()
        outbox.flush(max(0.0, deadline - time.monotonic()))
        await app.consumer.commit()

    async def _tell(self, app: StageApp, engine: StageEngine) -> None:
        """Say when the worker has joined, and how far behind it is, once a second."""
        next_lag = 0.0
        while True:
            if not self._is_ready and app.consumer.assignment() is not None and not app.rebalancing:
                self._is_ready = True
                if self._on_ready is not None:
                    self._on_ready()
            self._observer.in_flight(self._stage.name, engine.ledger.pending)
            if self._is_ready:
                self._observer.assigned(self._stage.name, len(app.consumer.assignment() or ()))
            if self._is_ready and time.monotonic() >= next_lag:
                next_lag = time.monotonic() + _LAG_EVERY_S
                await self._tell_lag(app)
            await asyncio.sleep(_TELL_EVERY_S)

    async def _tell_lag(self, app: StageApp) -> None:
        """Say how many records wait; where the broker does not answer, the last figures stand."""
        try:
            lags = await asyncio.wait_for(cast(LedgerConsumer, app.consumer).lags(), _LAG_EVERY_S)
        except Exception as error:  # noqa: BLE001 - a figure for people must not end the work
            self._observer.retried(self._stage.name, type(error).__name__)
            return
        for one in self._told_lag - lags.keys():
            self._observer.lag(self._stage.name, one.topic, one.partition, 0)
        self._told_lag = set(lags)
        for one, records in lags.items():
            self._observer.lag(self._stage.name, one.topic, one.partition, records)

    def _handle_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self._stopping.set)
        if self._told_to_stop.is_set():
            self._stopping.set()

    def _from_thread(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(call)

    def _over(self, engine: StageEngine) -> bool:
        return self._stopping.is_set() or engine.failure is not None


def run_stage(stage: Stage, broker: BrokerSettings, **options: Any) -> int:
    """Run a stage in this process until SIGTERM or SIGINT; see `StageRunner` for options and errors."""
    return StageRunner(stage, broker, **options).run()


def _record(message: Any) -> Record:
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        tuple(message.headers) if message.headers else (),
        round(message.timestamp * 1000) if message.timestamp else 0,
    )
