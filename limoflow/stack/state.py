"""What one stack knows about itself on disk: who holds it, what runs, and what a dead holder left behind."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from limoflow.errors import StackError, UsageError
from limoflow.stack.processes import wait_until

STACK_VARIABLE = "LIMOFLOW_STACK_ID"
_LOCK_PATIENCE_S = 0.5
_SWEEP_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process in the state file.

    Attributes
    ----------
    name, service : str
        Such as ``scorer-0`` of ``scorer``.
    phase : str
        A value of `limoflow.stack.supervised.Phase`.
    pid : int or None
        Process id of the last start.
    restarts : int
        How often it was started again.
    last_exit : int or None
        Exit code of its last end, negative for a signal.
    log_path : str
        Its log.
    ports : mapping
        Its ports by purpose.
    """

    name: str
    service: str
    phase: str
    pid: int | None
    restarts: int
    last_exit: int | None
    log_path: str
    ports: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StackState:
    """The state file.

    Attributes
    ----------
    stack_id : str
        Names this life of the stack; every process of it has it in ``LIMOFLOW_STACK_ID``.
    supervisor_pid : int
        Process id of the supervisor.
    phase : str
        ``starting``, ``running``, ``stopping``, ``stopped`` or ``failed``.
    error : str
        Why it failed; empty otherwise.
    processes : tuple of ProcessState
        In the order of their start.
    """

    stack_id: str
    supervisor_pid: int
    phase: str
    error: str
    processes: tuple[ProcessState, ...]

    def of(self, service: str) -> tuple[ProcessState, ...]:
        """Give the processes of one service."""
        return tuple(process for process in self.processes if process.service == service)


def state_path(folder: Path) -> Path:
    """Give the path of a stack's state file."""
    return folder / "state.json"


def write_atomically(path: Path, text: str) -> None:
    """Replace a small file so that a reader sees the old text or the new one."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def encode_state(state: StackState) -> str:
    """Write the state as JSON."""
    return json.dumps(asdict(state), indent=1)


def read_state(folder: Path) -> StackState | None:
    """Read the last state that was written, or None where there never was a stack.

    Raises
    ------
    StackError
        If the file cannot be read as a state.
    """
    path = state_path(folder)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        processes = tuple(ProcessState(**process) for process in fields.pop("processes"))
        return StackState(**fields, processes=processes)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StackError(
            f"{path} is not a state file of this version ({error}): stop the stack and remove it"
        ) from error


def holder(folder: Path) -> int | None:
    """Process id of the supervisor that holds the stack now, or None."""
    try:
        with (folder / "lock").open("r", encoding="ascii") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read() or 0) or None
    except FileNotFoundError:
        pass
    return None


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a stack's folder, so that only one supervisor works in it; the kernel lets go when the process dies.

    Raises
    ------
    UsageError
        If another supervisor holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="ascii") as lock:
        if not wait_until(lambda: _locked(lock.fileno()), _LOCK_PATIENCE_S):
            raise UsageError(
                f"a stack already runs in {folder} (supervisor {holder(folder)}): stop it with 'limoflow down', or set "
                "LIMOFLOW_HOME to another folder"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def members(stack_id: str) -> list[int]:
    """Ids of all living processes of this user that a stack started, with their descendants in any session."""
    mark = f"{STACK_VARIABLE}={stack_id}".encode("ascii")
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def sweep(stack_id: str) -> list[int]:
    """Kill every process that is left of a stack, and wait until they are gone; returns the ids of those found.

    Raises
    ------
    StackError
        If one cannot be killed.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + _SWEEP_TIMEOUT_S
    while left := members(stack_id):
        if time.monotonic() > deadline:
            raise StackError(f"processes {left} of the stack cannot be killed: end them by hand")
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed.update(left)
        time.sleep(0.02)
    return sorted(killed)
