"""Stub processes that Triton let go of and keeps all the same: the one that takes their place ends them.

The Python backend (seen with Triton 2.51) never releases a request that met a dead stub. So the unloading of that model
never ends, and the stubs of its other instances stay, with all their memory, until the server ends: each stub that
dies, of a lack of memory perhaps, would leave the server with more to hold.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

_PROCESSES = Path("/proc")


def end_predecessors(instance: str) -> list[int]:
    """Kill the other stubs of this server that were started for the same instance.

    A server starts one stub for each instance, and another only when it has let go of the one before. A request that
    one of those still answers is asked again by its client. Where there is no /proc, nothing is done.

    Parameters
    ----------
    instance : str
        `model_instance_name` of the `args` of `initialize`: the model, the group and the number.

    Returns
    -------
    list of int
        The process ids of those that were killed.
    """
    program, server = _words(os.getpid())[:1], os.getppid()
    found = [int(entry.name) for entry in _PROCESSES.glob("[0-9]*")]
    ended = []
    for process in sorted(set(found) - {os.getpid()}):
        words = _words(process)
        if words[:1] == program and instance in words[1:] and _parent(process) == server:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
                ended.append(process)
    return ended


def _words(process: int) -> list[str]:
    """Return the command line of a process; nothing for one that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return (_PROCESSES / str(process) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
    return []


def _parent(process: int) -> int | None:
    with suppress(FileNotFoundError, ProcessLookupError):
        # The name, in parentheses, may hold spaces and parentheses of its own.
        return int((_PROCESSES / str(process) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    return None
