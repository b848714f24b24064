"""How many programs a second the sandbox runs, and what a box keeps."""

from __future__ import annotations

import asyncio
import time

import psutil

from benchmarks.figures import Figure
from services.verifier.sandbox import Job, best_sandbox
from services.verifier.settings import VerifierSettings

# Runs, how many a second there should be, and the megabytes that two boxes may keep.
BACK_ENDS = {"bubblewrap": (600, 150.0, 100.0), "gvisor": (100, None, 150.0)}
PROGRAM = "def add(a, b):\n    return a + b\n\nassert add(1, 2) == 3\n"


def measure() -> list[Figure]:
    """Return the figures of every back end that works here."""
    return [figure for name, goals in BACK_ENDS.items() for figure in asyncio.run(_measure(name, *goals))]


async def _measure(name: str, runs: int, goal: float | None, megabytes: float) -> list[Figure]:
    began = time.perf_counter()
    sandbox = await best_sandbox(VerifierSettings(sandbox=name, sandbox_boxes=2))
    started = time.perf_counter() - began
    if sandbox.reason is not None:
        return []
    try:
        await asyncio.gather(*(sandbox.run(Job(python=PROGRAM)) for _ in range(20)))
        began = time.perf_counter()
        outcomes = await asyncio.gather(*(sandbox.run(Job(python=PROGRAM)) for _ in range(runs)))
        rate = runs / (time.perf_counter() - began)
        kept = sum(process.memory_full_info().pss for process in psutil.Process().children(recursive=True))
        began = time.perf_counter()
        for _ in range(20):
            await sandbox.run(Job(("/usr/bin/true",)))
        command = (time.perf_counter() - began) / 20
    finally:
        await sandbox.close()
    assert all((outcome.status, outcome.code) == ("exited", 0) for outcome in outcomes)
    return [
        Figure(f"sandboxed Python runs, {name}, 2 boxes", rate, "/s", goal),
        Figure(f"a sandboxed command, one after another, {name}", command * 1000, "ms"),
        Figure(f"start of the sandbox with its attempts to escape, {name}", started, "s"),
        Figure(f"memory that 2 boxes keep, {name}", kept / 1e6, "MB", megabytes, below=True),
    ]
