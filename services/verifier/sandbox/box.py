"""One box as the service sees it: a process that answers requests one at a time, and is never trusted to."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any, Protocol, get_args

from limoflow.errors import UsageError
from services.verifier.sandbox.inside.frames import HEAD, frame
from services.verifier.sandbox.interface import Job, Limits, Outcome, Status

_START_SECONDS = 60.0
_GRACE_SECONDS = 10.0
_FAREWELL_SECONDS = 0.5
_ROOM_FOR_WORDS = 1 << 16
_TOLD = 500
_STATUSES = frozenset(get_args(Status))


class BoxBroken(Exception):
    """The box did not answer as it must; it is to be closed, and another one taken."""


class Launcher(Protocol):
    """Starts boxes of one kind."""

    name: str

    async def start(self, number: int, complaints: IO[bytes]) -> asyncio.subprocess.Process:
        """Start box `number`: its process speaks the frames of the fork server on its standard streams."""
        ...

    async def ended(self, number: int) -> None:
        """Clear away what box `number` left."""
        ...


class Box:
    """A running box.

    Parameters
    ----------
    launcher : Launcher
        What starts it.
    number : int
        Which of the boxes of this process it is.
    """

    def __init__(self, launcher: Launcher, number: int) -> None:
        self._launcher = launcher
        self.number = number
        self._process: asyncio.subprocess.Process | None = None
        self._complaints: IO[bytes] | None = None
        self.python = ""

    async def start(self) -> None:
        """Start it and wait for its word.

        Raises
        ------
        BoxBroken
            When it does not come up; the message has the end of what it complained about.
        """
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the box
        try:
            self._process = await self._launcher.start(self.number, self._complaints)
        except OSError as error:
            raise BoxBroken(f"{self._launcher.name} cannot be started: {error}") from error
        greeting = await self._within(_START_SECONDS, self._read(_ROOM_FOR_WORDS))
        if not isinstance(greeting, dict) or not isinstance(greeting.get("ready"), str):
            raise BoxBroken("the box did not greet")
        self.python = greeting["ready"]

    async def ask(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Run one job, or a program and its tests.

        Raises
        ------
        BoxBroken
            When no proper answer comes in time.
        """
        limits = [job.limits for job in jobs]
        request = frame([asdict(each) for each in limits]) + b"".join(frame(_described(job)) for job in jobs)
        most = _ROOM_FOR_WORDS + sum(2 * 4 * (each.output_bytes // 3 + 2) for each in limits)
        seconds = max(each.wall_seconds for each in limits) + _GRACE_SECONDS
        answers = await self._within(seconds, self._exchange(request, most))
        if not isinstance(answers, list) or len(answers) != len(jobs):
            raise BoxBroken("the box answered something else")
        return [_outcome(answer, each) for answer, each in zip(answers, limits, strict=True)]

    async def close(self) -> None:
        """End it, by force where it does not at once, and wait until it is gone. Closing twice is allowed."""
        process, self._process = self._process, None
        if process is not None:
            await _ended(process)
            await self._launcher.ended(self.number)
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    async def _within(self, seconds: float, answer: Any) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError as error:
            raise BoxBroken(f"no answer within {seconds:g} s") from error
        except (ConnectionError, asyncio.IncompleteReadError, ValueError) as error:
            raise BoxBroken(f"the box ended or spoke nonsense ({type(error).__name__}): {self._complaint()}") from error

    async def _exchange(self, request: bytes, most: int) -> Any:
        assert self._process is not None  # noqa: S101 - started before
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        self._process.stdin.write(request)
        await self._process.stdin.drain()
        return await self._read(most)

    async def _read(self, most: int) -> Any:
        assert self._process is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        (size,) = HEAD.unpack(await self._process.stdout.readexactly(HEAD.size))
        if size > most:
            raise BoxBroken(f"an answer of {size} bytes, at most {most} are believed")
        return json.loads(await self._process.stdout.readexactly(size))

    def _complaint(self) -> str:
        if self._complaints is None:
            return "no more is known"
        size = self._complaints.seek(0, 2)
        self._complaints.seek(max(0, size - _TOLD))
        return self._complaints.read().decode(errors="replace").strip() or "it said nothing"


async def _ended(process: asyncio.subprocess.Process) -> None:
    # A box that is idle ends with its input, and leaves no process for the machine's first one to bury.
    assert process.stdin is not None  # noqa: S101
    process.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_SECONDS):
            await process.wait()
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _described(job: Job) -> dict[str, Any]:
    files = {**job.files, **({} if job.python is None else {"main.py": job.python.encode(errors="surrogatepass")})}
    return {
        "command": list(job.command),
        "python": job.python,
        "files": {name: base64.b64encode(content).decode() for name, content in files.items()},
        "stdin": base64.b64encode(job.stdin).decode(),
    }


def _outcome(answer: Any, limits: Limits) -> Outcome:
    try:
        stdout, stderr = (base64.b64decode(answer[name], validate=True) for name in ("stdout", "stderr"))
        code, detail = answer["code"], answer["detail"]
        status: Status = answer["status"]
        if status not in _STATUSES or not isinstance(code, int | None) or not isinstance(detail, str | None):
            raise BoxBroken("the box answered with an unknown status")
        most = limits.output_bytes
        return Outcome(status, code, stdout[:most], stderr[:most], float(answer["seconds"]), detail)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise BoxBroken(f"the box's answer cannot be read: {error!r}") from error


def checked(job: Job) -> Job:
    """Return the job.

    Raises
    ------
    UsageError
        When it is neither a command nor Python, or a file's name is not a plain relative one.
    """
    if bool(job.command) == (job.python is not None):
        raise UsageError("a job of the sandbox has either a command or Python source")
    for name in job.files:
        if not name or "\0" in name or name.startswith("/") or {"", ".", ".."} & set(name.split("/")):
            raise UsageError(f"the sandbox takes files with plain relative names, not {name!r}")
    if any("\0" in word for word in job.command):
        raise UsageError("a word of the job's command has a NUL in it")
    return job
