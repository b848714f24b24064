"""Killable worker processes: one request at a time each, a deadline on every answer, a new process after a kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from limoflow.lifeline import PARENT

_LINE_LIMIT = 1 << 20


class WorkerDied(Exception):
    """The process ended, or was killed at its deadline, before it answered."""


class WorkerPool:
    """Processes that answer one JSON line with one JSON line.

    Parameters
    ----------
    arguments : sequence of str
        What follows the Python interpreter on the command line.
    size : int
        Processes at most; they start when first needed.
    deadline_s : float
        Wall-clock time for one answer; the process is killed when it passes.
    start_deadline_s : float
        Wall-clock time for a process to say that it is ready.
    """

    def __init__(self, arguments: Sequence[str], size: int, deadline_s: float, start_deadline_s: float = 120.0) -> None:
        self._arguments = tuple(arguments)
        self._deadline_s = deadline_s
        self._start_deadline_s = start_deadline_s
        self._size = size
        self._idle: list[asyncio.subprocess.Process] = []
        self._all: set[asyncio.subprocess.Process] = set()
        self._slots: asyncio.Semaphore | None = None

    async def ask(self, request: Any) -> Any:
        """Return the answer of a process to `request`.

        Raises
        ------
        WorkerDied
            When it gave none within the deadline, or ended.
        """
        if self._slots is None:
            self._slots = asyncio.Semaphore(self._size)
        async with self._slots:
            process = self._idle.pop() if self._idle else await self._start()
            try:
                answer = await self._exchange(process, request, self._deadline_s)
            except BaseException:
                await self._kill(process)
                raise
            self._idle.append(process)
            return answer

    async def close(self) -> None:
        """End every process."""
        self._idle.clear()
        for process in list(self._all):
            await self._kill(process)

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "limoflow.lifeline",
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_LIMIT,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                PARENT: str(os.getpid()),
            },
        )
        self._all.add(process)
        try:
            await self._exchange(process, None, self._start_deadline_s)
        except BaseException:
            await self._kill(process)
            raise
        return process

    async def _exchange(self, process: asyncio.subprocess.Process, request: Any, deadline_s: float) -> Any:
        assert process.stdin is not None  # noqa: S101 - both pipes were asked for
        assert process.stdout is not None  # noqa: S101
        try:
            async with asyncio.timeout(deadline_s):
                if request is not None:
                    process.stdin.write(json.dumps(request).encode() + b"\n")
                    await process.stdin.drain()
                line = await process.stdout.readline()
        except (TimeoutError, ConnectionError, ValueError) as error:
            raise WorkerDied(f"no answer within {deadline_s:g} s: {error!r}") from error
        if not line:
            raise WorkerDied("the process ended before it answered")
        return json.loads(line)

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self._all.discard(process)
