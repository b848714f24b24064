"""Runs any number of stages and tasks in this process, with the semantics that they have on Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from limoflow.errors import LimoflowError
from limoflow.stream.local import LocalTransport
from limoflow.stream.local_stage import LocalStageWorker
from limoflow.stream.local_task import LocalTaskWorker
from limoflow.stream.local_wait import listening
from limoflow.stream.retry import RetryPolicy
from limoflow.stream.types import Stage, Task
from limoflow.stream.waiting import wait_at_most


class _Worker(Protocol):
    name: str

    async def run(self) -> None: ...

    async def stop(self) -> None: ...


class LocalRunner:
    """Hosts workers on a `LocalTransport`; partitions are shared among the workers of the same name.

    Parameters
    ----------
    transport : LocalTransport
    policy : RetryPolicy, optional
    """

    def __init__(self, transport: LocalTransport, policy: RetryPolicy | None = None) -> None:
        self._transport = transport
        self._policy = policy or RetryPolicy()
        self._makers: list[tuple[str, Callable[[], _Worker]]] = []
        self._running: dict[int, tuple[_Worker, asyncio.Task[None]]] = {}

    def add_stage(self, *workers: Stage, in_flight: int = 64) -> None:
        """Add a stage; each argument is one worker, and the same object may stand for several."""
        for index, stage in enumerate(workers):

            def make(stage: Stage = stage, index: int = index) -> _Worker:
                return LocalStageWorker(stage, self._transport, (index, len(workers)), in_flight, self._policy)

            self._makers.append((stage.name, make))

    def add_task(self, *workers: Task) -> None:
        """Add a task; each argument is one worker and must be an object of its own."""
        for index, task in enumerate(workers):

            def make(task: Task = task, index: int = index) -> _Worker:
                return LocalTaskWorker(task, self._transport, (index, len(workers)), self._policy)

            self._makers.append((task.name, make))

    def start(self) -> None:
        """Start every worker that is not running, in the running event loop."""
        for number, (_, make) in enumerate(self._makers):
            if number not in self._running:
                worker = make()
                self._running[number] = (worker, asyncio.create_task(worker.run(), name=worker.name))

    async def run_until(self, predicate: Callable[[], bool], *, timeout_s: float | None = None) -> None:
        """Run until the predicate holds, which is asked after every change and every 0.2 s.

        Raises
        ------
        TimeoutError
            When it does not hold in time.
        Exception
            What ended a worker.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        changed, unlisten = listening(self._transport)
        self.start()
        try:
            while True:
                changed.clear()
                self._raise_failure()
                if predicate():
                    return
                if deadline is not None and time.monotonic() > deadline:
                    raise TimeoutError(f"the condition did not hold within {timeout_s:g} s")
                await wait_at_most(changed, 0.2)
                await asyncio.sleep(0.01)
        finally:
            unlisten()

    async def crash(self, name: str) -> None:
        """Kill the workers of a stage or task as SIGKILL would, and start them anew from what was committed.

        Raises
        ------
        LimoflowError
            When no worker of that name runs.
        """
        numbers = [number for number, (own, _) in enumerate(self._makers) if own == name and number in self._running]
        if not numbers:
            raise LimoflowError(f"no worker {name!r} runs; running: {sorted({own for own, _ in self._makers})}")
        for number in numbers:
            _, task = self._running.pop(number)
            task.cancel()
            await asyncio.wait([task])
        self.start()

    async def stop(self) -> None:
        """Stop gracefully: no new intake, what is in flight finished, positions committed."""
        running, self._running = self._running, {}
        await asyncio.gather(*(worker.stop() for worker, _ in running.values()))
        done = await asyncio.gather(*(task for _, task in running.values()), return_exceptions=True)
        for result in done:
            if isinstance(result, Exception):
                raise result

    def _raise_failure(self) -> None:
        for _, task in self._running.values():
            if task.done() and (error := task.exception()) is not None:
                raise error
