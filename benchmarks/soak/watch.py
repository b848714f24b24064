"""Looks at a stack every few seconds: how much memory each process has, how far each stage has come; into one CSV."""

from __future__ import annotations

import csv
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil

from benchmarks.soak.judge import Sample
from limoflow.errors import DependencyUnavailable
from limoflow.progress_of import stage_progress
from limoflow.stream.types import Offsets
from schemas.topics import RAW, RELEASES
from tests.support.stack import Stack

AFTER_RELEASE = ("exporter", "trainer")
COLUMNS = ("seconds", "name", "measure", "value", "pid", "age_s")
_KIBIBYTE = 1024
_USS = ("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:")


class Ledger:
    """The CSV, written line by line from several threads."""

    def __init__(self, path: Path) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._stream = path.open("w", newline="", encoding="utf-8", buffering=1)
        self._writer = csv.writer(self._stream)
        self._writer.writerow(COLUMNS)

    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def note(self, at_s: float, name: str, measure: str, value: object, pid: int = 0, age_s: float = 0.0) -> None:
        """Add a line."""
        with self._lock:
            self._writer.writerow((f"{at_s:.1f}", name, measure, value, pid or "", f"{age_s:.0f}" if pid else ""))

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class Watch:
    """Calls a function every few seconds in a thread until it is closed, where what it raised is raised again."""

    def __init__(self, look: Callable[[], None], every_s: float) -> None:
        self._look = look
        self._every_s = every_s
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._watch, name="soak-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _watch(self) -> None:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._every_s, time.monotonic())
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - raised again where the watch is closed
                self._failure = error
                return


class MemoryLook:
    """The memory that each process of a stack and its children hold alone (USS)."""

    def __init__(self, stack: Stack, ledger: Ledger) -> None:
        self.samples: list[Sample] = []
        self._stack = stack
        self._ledger = ledger

    def __call__(self) -> None:
        """Look once."""
        for process in self._stack.state.processes:
            if process.pid is None or process.phase != "ready":
                continue
            try:
                parent = psutil.Process(process.pid)
                age_s = time.time() - parent.create_time()
                held = sum(map(_alone, [parent, *parent.children(recursive=True)]))
            except psutil.Error:
                continue
            at_s = self._ledger.now()
            self.samples.append(Sample(at_s, process.service, process.pid, age_s, held))
            self._ledger.note(at_s, process.service, "uss", held, process.pid, age_s)


def _alone(process: psutil.Process) -> float:
    """Return the bytes of pages that no other process has, 0 where it is gone; cheaper than `memory_full_info`."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return float(sum(int(line.split()[1]) for line in lines if line.startswith(_USS)) * _KIBIBYTE)


class LagLook:
    """How far each stage has come, and how many records wait for it.

    The ingestor's lag is the rows that were fed since it last wrote any, for files tell no offsets.

    Parameters
    ----------
    fed : callable
        Returns the rows that were fed so far.

    Attributes
    ----------
    progress : dict of str to list of (seconds, handled, lag)
    unanswered : int
        How often the broker did not answer.
    """

    def __init__(self, offsets: Offsets, fed: Callable[[], int], ledger: Ledger) -> None:
        self.progress: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        self.unanswered = 0
        self._offsets = offsets
        self._fed = fed
        self._ledger = ledger
        self._written, self._fed_then = 0, 0

    def __call__(self) -> None:
        """Look once."""
        try:
            stages = {stage.stage: (stage.handled, stage.lag) for stage in stage_progress(self._offsets)}
            stages |= {group: self._after_release(group) for group in AFTER_RELEASE}
            stages["ingestor"] = self._ingestor()
        except DependencyUnavailable:
            self.unanswered += 1
            return
        at_s = self._ledger.now()
        for stage, (handled, lag) in stages.items():
            self.progress[stage].append((at_s, handled, lag))
            self._ledger.note(at_s, stage, "handled", handled)
            self._ledger.note(at_s, stage, "lag", lag)

    def last(self) -> float:
        """Return the lag of all stages together when they were last looked at."""
        return sum(looks[-1][2] for looks in self.progress.values())

    def _after_release(self, group: str) -> tuple[int, int]:
        ends, committed = self._offsets.ends(RELEASES), self._offsets.committed(group, RELEASES)
        return sum(committed.values()), sum(max(0, end - committed.get(part, 0)) for part, end in ends.items())

    def _ingestor(self) -> tuple[int, int]:
        fed, written = self._fed(), sum(self._offsets.ends(RAW).values())
        if written > self._written:
            self._written, self._fed_then = written, fed
        return written, fed - self._fed_then
