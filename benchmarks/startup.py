"""How long the command line takes to show its help."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.figures import Figure

RUNS = 7


def measure() -> list[Figure]:
    """Return the median time of `limoflow --help`, as a whole process."""
    command = [sys.executable, "-m", "limoflow.cli", "--help"]
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    return [Figure("limoflow --help", statistics.median(seconds), "s", 0.5, below=True)]
