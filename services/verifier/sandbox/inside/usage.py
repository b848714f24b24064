"""What the processes of each job use together, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class Used:
    """Sums over the processes of a job.

    Attributes
    ----------
    cpu_seconds : float
        CPU time, that of ended and awaited children included.
    resident_bytes : int
        Resident memory; a page that several share counts for each.
    tasks : int
        Processes and threads.
    """

    cpu_seconds: float = 0.0
    resident_bytes: int = 0
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/PID/stat, as far as it matters here."""

    parent: int
    cpu_seconds: float
    resident_bytes: int
    tasks: int


def parsed(line: str) -> Process:
    """Read a line of /proc/PID/stat; the name in brackets may hold anything, brackets too."""
    fields = line.rpartition(")")[2].split()
    ticks = sum(int(each) for each in fields[11:15])
    return Process(int(fields[1]), ticks / _TICKS, int(fields[21]) * _PAGE, int(fields[17]))


def processes() -> dict[int, Process]:
    """Return every process of the box by its number."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    found[int(name)] = parsed(file.read())
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def by_job(roots: Iterable[int]) -> dict[int, Used]:
    """Return what each job's processes use; an orphan's parent is the job's first process."""
    return summed(processes(), roots)


def summed(found: Mapping[int, Process], roots: Iterable[int]) -> dict[int, Used]:
    """Sum over each root and its descendants."""
    sums = {root: Used() for root in roots}
    for number, process in found.items():
        root = _root(number, found, sums)
        if root is not None:
            used = sums[root]
            used.cpu_seconds += process.cpu_seconds
            used.resident_bytes += process.resident_bytes
            used.tasks += process.tasks
    return sums


def _root(number: int, found: Mapping[int, Process], roots: Mapping[int, Used]) -> int | None:
    while number not in roots:
        if number not in found:
            return None
        number = found[number].parent
    return number
