"""One worker of a stage on the local log."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from limoflow.stream.local import LocalTransport
from limoflow.stream.local_wait import listening
from limoflow.stream.retry import RetryPolicy
from limoflow.stream.stage_engine import Delivered, StageEngine
from limoflow.stream.types import Emit, Stage, TopicPartition
from limoflow.stream.waiting import wait_at_most

_DRAIN_S = 10.0
_FETCH = 64


class LocalStageWorker:
    """Reads its share of the partitions and keeps many records in flight.

    Parameters
    ----------
    share : (int, int)
        The worker's number and how many there are: it has the partitions with `partition % count == number`.
    """

    def __init__(
        self,
        stage: Stage,
        transport: LocalTransport,
        share: tuple[int, int],
        in_flight: int,
        policy: RetryPolicy,
    ) -> None:
        self.name = stage.name
        self._stage = stage
        self._transport = transport
        self._engine = StageEngine(stage, self._write, in_flight=in_flight, policy=policy)
        number, count = share
        committed = transport.committed(stage.name, stage.topic)
        self._next = {
            TopicPartition(stage.topic, one): offset for one, offset in committed.items() if one % count == number
        }
        self._broadcast = {TopicPartition(topic, one): 0 for topic in stage.broadcast for one in transport.ends(topic)}
        self._stopping = False

    async def run(self) -> None:
        """Work until `stop`, or until an invariant breaks."""
        changed, unlisten = listening(self._transport)
        self._engine.start()
        try:
            while not self._stopping and self._engine.failure is None:
                changed.clear()
                self._observe()
                taken = await self._intake()
                self._commit()
                if not taken:
                    await wait_at_most(changed, 0.2)
            await self._engine.drain(_DRAIN_S)
            self._commit()
        finally:
            unlisten()
            await self._engine.stop()
        if self._engine.failure is not None:
            raise self._engine.failure

    async def stop(self) -> None:
        """Have `run` finish what is in flight and return."""
        self._stopping = True

    def _observe(self) -> None:
        for partition, offset in self._broadcast.items():
            records = self._transport.fetch(partition, offset, 1_000_000)
            if records:
                self._broadcast[partition] = offset + len(records)
                self._stage.observe(records)

    async def _intake(self) -> int:
        taken = 0
        for partition, offset in self._next.items():
            for record in self._transport.fetch(partition, offset, _FETCH):
                if self._stopping:
                    return taken
                await self._room()
                if self._engine.failure is not None:
                    return taken
                self._engine.accept(record)
                self._next[partition] = record.offset + 1
                taken += 1
        await asyncio.sleep(0)
        return taken

    async def _room(self) -> None:
        """Wait for room, taking note of broadcast records meanwhile: they may be what the handlers wait for."""
        while self._engine.ledger.full and self._engine.failure is None:
            await self._engine.changed(0.05)
            self._observe()
            self._commit()

    def _commit(self) -> None:
        positions = self._engine.ledger.take()
        if positions:
            self._transport.transact((), self.name, positions)

    def _write(self, emits: Sequence[Emit], delivered: Delivered) -> None:
        self._transport.send(emits)
        delivered(None)
