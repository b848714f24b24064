"""A sandbox made of boxes: each takes one request at a time, and a broken one is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.verifier.sandbox.box import Box, BoxBroken, Launcher, checked
from services.verifier.sandbox.interface import Job, Outcome


class ForkServers:
    """Boxes of one kind, started when first needed.

    Parameters
    ----------
    launcher : Launcher
        What starts a box.
    size : int
        Boxes at most, which is also how many requests run at one time.
    """

    reason: str | None = None

    def __init__(self, launcher: Launcher, size: int) -> None:
        self._launcher = launcher
        self._free = list(range(size))
        self._idle: list[Box] = []
        self._all: set[Box] = set()
        self._slots = asyncio.Semaphore(size)
        self.replaced = 0

    @property
    def name(self) -> str:
        """What kind of box it is."""
        return self._launcher.name

    async def run(self, job: Job) -> Outcome:
        """Run one job; see `Sandbox.run`."""
        (outcome,) = await self._ask([checked(job)])
        return outcome

    async def run_pair(self, program: Job, tests: Job) -> tuple[Outcome, Outcome]:
        """Run a program and its tests; see `Sandbox.run_pair`."""
        of_program, of_tests = await self._ask([checked(program), checked(tests)])
        return of_program, of_tests

    async def close(self) -> None:
        """End every box."""
        for box in list(self._all):
            await self._discard(box)
        self._idle.clear()

    async def _ask(self, jobs: Sequence[Job]) -> list[Outcome]:
        async with self._slots:
            try:
                box = self._idle.pop() if self._idle else await self._started()
            except BoxBroken as error:
                return [Outcome("unavailable", detail=str(error))] * len(jobs)
            try:
                outcomes = await box.ask(jobs)
            except BoxBroken as error:
                await self._discard(box)
                return [Outcome("unavailable", detail=str(error))] * len(jobs)
            except BaseException:
                await self._discard(box)
                raise
            self._idle.append(box)
            return outcomes

    async def _started(self) -> Box:
        box = Box(self._launcher, self._free.pop())
        self._all.add(box)
        try:
            await box.start()
        except BaseException:
            await self._discard(box)
            raise
        return box

    async def _discard(self, box: Box) -> None:
        if box in self._all:
            self._all.discard(box)
            try:
                await box.close()
            finally:
                self._free.append(box.number)
                self.replaced += 1
