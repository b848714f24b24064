"""The words of the sandbox: what a job is, what it may use, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Status = Literal["exited", "signalled", "cpu_limit", "wall_limit", "output_limit", "memory_limit", "unavailable"]
PEER_DESCRIPTOR = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use; its processes together, where not said otherwise.

    Attributes
    ----------
    cpu_seconds : float
        CPU time.
    wall_seconds : float
        Wall-clock time, from the start of the program; then everything of the job is killed.
    memory_bytes : int
        Address space of each process, and resident memory of all together.
    processes : int
        Processes and threads at one time.
    open_files : int
        Open descriptors of each process.
    disk_bytes : int
        Size of the private working folder, /tmp and /dev/shm together; also the largest file.
    output_bytes : int
        Bytes on standard output, and as many on standard error.
    """

    cpu_seconds: float = 5.0
    wall_seconds: float = 10.0
    memory_bytes: int = 512 << 20
    processes: int = 16
    open_files: int = 64
    disk_bytes: int = 32 << 20
    output_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """One program to run: either `command`, or Python source for the fork server's warm interpreter.

    Attributes
    ----------
    command : tuple of str
        Program and arguments, looked up in the sandbox's own /usr; empty where `python` is given.
    python : str or None
        Source, run as `__main__` from the file main.py in the working folder.
    files : mapping of str to bytes
        Relative names (folders are made) and contents, written into the private working folder before the start.
    stdin : bytes
        Standard input; it ends after these bytes.
    limits : Limits
        What the job may use.
    """

    command: tuple[str, ...] = ()
    python: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    stdin: bytes = b""
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended, as told by the sandbox and never by the job.

    Attributes
    ----------
    status : str
        `exited` (see `code`), `signalled` (`code` is the signal's number), the limit that was exceeded, or
        `unavailable`: the sandbox did not run the job, and `detail` says why.
    code : int or None
        Exit status, or the number of the signal.
    stdout, stderr : bytes
        What the job wrote, cut at the limit. Untrusted.
    seconds : float
        Wall-clock time in the sandbox.
    detail : str or None
        What the sandbox has to say.
    """

    status: Status
    code: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    seconds: float = 0.0
    detail: str | None = None


class Sandbox(Protocol):
    """Runs jobs that are not trusted; no two jobs see one another, at the same time or one after another."""

    @property
    def name(self) -> str:
        """Name of the back end."""
        ...

    @property
    def reason(self) -> str | None:
        """Why nothing can be run here; None where the sandbox works."""
        ...

    async def run(self, job: Job) -> Outcome:
        """Run one job. Never raises for what the job does."""
        ...

    async def run_pair(self, program: Job, tests: Job) -> tuple[Outcome, Outcome]:
        """Run a program and its tests side by side, in two processes that share nothing but one stream.

        Each sees the other only as bytes on the inherited descriptor 3, one end of a stream socket. When the tests
        end, the program is killed; when the program ends, the tests read the end of the stream.

        Returns
        -------
        tuple of Outcome
            That of the program and that of the tests.
        """
        ...

    async def close(self) -> None:
        """End every process of the sandbox."""
        ...


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Stands where no sandbox works: every job's outcome is `unavailable`, with the reason."""

    reason: str
    name: str = "none"

    async def run(self, job: Job) -> Outcome:  # noqa: ARG002 - nothing is run
        """Say why the job was not run."""
        return Outcome("unavailable", detail=self.reason)

    async def run_pair(self, program: Job, tests: Job) -> tuple[Outcome, Outcome]:
        """Say why the jobs were not run."""
        return await self.run(program), await self.run(tests)

    async def close(self) -> None:
        """Nothing is open."""
