"""How many programs a second the sandbox runs, and what a box keeps."""

from __future__ import annotations

import asyncio
import time

import psutil

from benchmarks.figures import Figure
from services.verifier.sandbox import Job, best_sandbox
from services.verifier.settings import VerifierSettings

RUNS = 600
PROGRAM = "def add(a, b):\n    return a + b\n\nassert add(1, 2) == 3\n"


def measure() -> list[Figure]:
    """Return the figures; none where no sandbox works."""
    return asyncio.run(_measure())


async def _measure() -> list[Figure]:
    began = time.perf_counter()
    sandbox = await best_sandbox(VerifierSettings(sandbox_boxes=2))
    started = time.perf_counter() - began
    if sandbox.reason is not None:
        return []
    try:
        await asyncio.gather(*(sandbox.run(Job(python=PROGRAM)) for _ in range(20)))
        began = time.perf_counter()
        outcomes = await asyncio.gather(*(sandbox.run(Job(python=PROGRAM)) for _ in range(RUNS)))
        rate = RUNS / (time.perf_counter() - began)
        kept = sum(process.memory_full_info().pss for process in psutil.Process().children(recursive=True))
        began = time.perf_counter()
        for _ in range(20):
            await sandbox.run(Job(("/usr/bin/true",)))
        command = (time.perf_counter() - began) / 20
    finally:
        await sandbox.close()
    assert all((outcome.status, outcome.code) == ("exited", 0) for outcome in outcomes)
    return [
        Figure(f"sandboxed Python runs, {sandbox.name}, 2 boxes", rate, "/s", 150),
        Figure("a sandboxed command, one after another", command * 1000, "ms"),
        Figure("start of the sandbox with its attempts to escape", started, "s"),
        Figure("memory that 2 boxes keep", kept / 1e6, "MB", 100, below=True),
    ]
