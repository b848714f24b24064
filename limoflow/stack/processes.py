"""One child process: started in its own session, dying with its parent, ended as a whole group."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from limoflow.errors import MissingDependency, StackError

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: the child must not import or allocate a library handle between fork and exec.
_LIBC = ctypes.CDLL(None, use_errno=True)
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run and how to know that it works.

    Attributes
    ----------
    name : str
        Name in the state file and messages, such as ``kafka`` or ``scorer-0``.
    command : tuple of str
        Program and arguments.
    env : mapping
        Variables laid over the environment of the parent.
    log_path : Path
        File that standard output and error are appended to.
    ready : callable, optional
        Probe that returns quickly and does not raise; without one a running process counts as ready.
    ready_timeout_s : float
        Seconds from the start until a process that is still not ready counts as failed.
    stop_grace_s : float
        Seconds between SIGTERM and SIGKILL.
    restart : bool
        Whether a supervisor starts it again when it ends on its own.
    cwd : Path, optional
        Working folder.
    ports : mapping
        Ports by purpose, for the state file.
    clean : callable, optional
        Removes what a killed predecessor left behind; called before each start and after each end.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    log_path: Path
    ready: Callable[[], bool] | None = None
    ready_timeout_s: float = 60.0
    stop_grace_s: float = 10.0
    restart: bool = True
    cwd: Path | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    clean: Callable[[], None] | None = None


def _die_with(parent: int) -> Callable[[], None]:
    def arrange() -> None:
        if sys.platform == "linux":
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def log_tail(path: Path, lines: int = 15) -> str:
    """Last lines of a log file, for messages; empty where there is no log."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 16384))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


class ManagedProcess:
    """A running (or ended) process of a `ProcessSpec`.

    The kernel kills the child when the *thread* that called `start` ends, so start from a thread that lives as long as
    the child shall. When the child ends, whatever is left of its process group is killed before it is reaped.

    Parameters
    ----------
    spec : ProcessSpec
        What to run.
    """

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the last start, or None before it."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Start the process.

        Raises
        ------
        StackError
            If it already runs, or the system refuses to start it.
        MissingDependency
            If the program is not there.
        """
        if self._child is not None and self.poll() is None:
            raise StackError(f"{self.spec.name} already runs as process {self.pid}")
        self._clean()
        self.spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.spec.log_path.open("ab") as log:
            self._child = self._spawn(log.fileno())

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self.spec.command,
                env={**os.environ, **self.spec.env},
                cwd=self.spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - two system calls, no lock, no import
            )
        except FileNotFoundError as error:
            raise MissingDependency(f"{self.spec.name}: {error.filename!r} does not exist: install it") from error
        except (OSError, subprocess.SubprocessError) as error:
            raise StackError(f"{self.spec.name}: cannot start {self.spec.command[0]!r}: {error}") from error

    def poll(self) -> int | None:
        """Exit code (negative: the signal that ended it), or None while it runs or was never started."""
        child = self._child
        if child is None or child.returncode is not None:
            return child.returncode if child else None
        # Looking without reaping keeps the group id from being reused while the rest of the group is killed.
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        _kill_group(child.pid)
        code = child.wait()
        self._clean()
        return code

    def is_ready(self) -> bool:
        """Whether it runs and its probe says yes."""
        return self.pid is not None and self.poll() is None and (self.spec.ready is None or self.spec.ready())

    def terminate(self) -> None:
        """Ask the process to end (SIGTERM to it alone: it knows best how to end its own children)."""
        if self._child is not None and self.poll() is None:
            self._child.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole process group now (SIGKILL)."""
        if self._child is not None and self.poll() is None:
            _kill_group(self._child.pid)

    def stop(self) -> int | None:
        """SIGTERM, wait for the grace time, SIGKILL to the group; returns the exit code."""
        self.terminate()
        if not wait_until(lambda: self._child is None or self.poll() is not None, self.spec.stop_grace_s):
            self.kill()
            wait_until(lambda: self.poll() is not None, self.spec.stop_grace_s)
        return self.poll()

    def _clean(self) -> None:
        if self.spec.clean is not None:
            self.spec.clean()


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll a condition until it holds or the time is over; returns whether it held."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


@contextmanager
def running(spec: ProcessSpec) -> Iterator[ManagedProcess]:
    """Run one process without a supervisor: started and ready inside the block, stopped after it.

    Raises
    ------
    StackError
        If the process ends, or is not ready in time; the message holds the end of its log.
    """
    process = ManagedProcess(spec)
    process.start()
    try:
        ready = wait_until(lambda: process.poll() is not None or process.is_ready(), spec.ready_timeout_s)
        if not ready or process.poll() is not None:
            raise not_ready(spec, process.poll())
        yield process
    finally:
        process.stop()


def not_ready(spec: ProcessSpec, code: int | None) -> StackError:
    """Say why a process is not ready (its exit code; None: it was too slow), with the end of its log."""
    why = f"was not ready within {spec.ready_timeout_s:g} s" if code is None else f"ended with code {code}"
    return StackError(f"{spec.name} {why}; the end of {spec.log_path}:\n{log_tail(spec.log_path)}")
