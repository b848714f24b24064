"""One worker of a task on the local log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from limoflow.errors import DependencyUnavailable
from limoflow.stream.job_thread import JobThread
from limoflow.stream.local import LocalTransport
from limoflow.stream.local_wait import listening
from limoflow.stream.retry import RetryPolicy
from limoflow.stream.task_feed import TaskFeed
from limoflow.stream.types import Emit, Record, Task, TopicPartition
from limoflow.stream.waiting import wait_at_most

_BATCH = 500
_TICK_S = 0.2
T = TypeVar("T")


class LocalTaskWorker:
    """Gives a task its share of the partitions in batches, and writes outputs and positions together.

    Parameters
    ----------
    share : (int, int)
        The worker's number and how many there are.
    """

    def __init__(
        self,
        task: Task,
        transport: LocalTransport,
        share: tuple[int, int],
        policy: RetryPolicy,
    ) -> None:
        self.name = task.name
        self._task = task
        self._transport = transport
        self._share = share
        self._policy = policy
        self._feed = TaskFeed(task)
        self._broadcast = {
            TopicPartition(topic, one): 0 for topic in self._feed.broadcast for one in transport.ends(topic)
        }
        self._jobs = JobThread(f"limoflow-{task.name}")
        self._stopping = asyncio.Event()
        self._waits = 0

    async def run(self) -> None:
        """Work until `stop`, or until the task raises."""
        changed, unlisten = listening(self._transport)
        try:
            while not self._stopping.is_set():
                try:
                    await self._begin()
                    await self._work(changed)
                except DependencyUnavailable:
                    await wait_at_most(self._stopping, self._policy.outage_pause(self._waits))
                    self._waits += 1
        finally:
            unlisten()
            self._jobs.close()

    async def stop(self) -> None:
        """Have `run` finish the batch and return."""
        self._stopping.set()

    async def _begin(self) -> None:
        """Start with empty state from what was committed."""
        held = self._feed.forget(self._feed.partitions)
        if held:
            await self._call(lambda: self._task.revoked(held))
        number, count = self._share
        for topic in self._feed.shared:
            for one, committed in self._transport.committed(self.name, topic).items():
                if one % count == number:
                    self._feed.start(TopicPartition(topic, one), committed)
        partitions = self._feed.partitions
        if partitions:
            await self._call(lambda: self._task.assigned(partitions))
        await self._observe()
        while restoring := self._feed.restoring:
            for partition in restoring:
                await self._handle(self._fetch(partition, self._feed.committed[partition]))

    async def _work(self, changed: asyncio.Event) -> None:
        while not self._stopping.is_set():
            changed.clear()
            await self._observe()
            handled = 0
            for partition in self._feed.partitions:
                handled += await self._handle(self._fetch(partition, None))
            written = await self._transact(self._task.tick)
            if not handled and not written:
                await wait_at_most(changed, _TICK_S)

    def _fetch(self, partition: TopicPartition, below: int | None) -> list[Record]:
        offset = self._feed.positions[partition]
        limit = _BATCH if below is None else min(_BATCH, below - offset)
        return self._transport.fetch(partition, offset, limit)

    async def _observe(self) -> None:
        for partition, offset in self._broadcast.items():
            records = self._transport.fetch(partition, offset, 1_000_000)
            if records:
                await self._call(partial(self._task.observe, records))
                self._broadcast[partition] = offset + len(records)

    async def _handle(self, records: Sequence[Record]) -> int:
        restore, process = self._feed.take(records)
        if restore:
            await self._call(lambda: self._task.restore(restore))
        if process:
            await self._transact(lambda: self._task.process(process))
        return len(records)

    async def _transact(self, job: Callable[[], Iterable[Emit]]) -> int:
        emits: list[Emit] = await self._call(lambda: list(job()))
        positions = self._feed.uncommitted()
        if not emits and not positions:
            return 0
        ends: Mapping[TopicPartition, int] = self._transport.transact(emits, self.name, positions)
        self._feed.note_commit()
        self._waits = 0
        if ends:
            await self._call(lambda: self._task.delivered(ends))
        return len(emits)

    async def _call(self, job: Callable[[], T]) -> T:
        """Run a method of the task in its thread; a crash waits for its end, as two calls never overlap."""
        future = asyncio.wrap_future(self._jobs.submit(job))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise
