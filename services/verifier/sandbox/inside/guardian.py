"""The first process of a job's namespaces: it makes the rooms, starts the program, and its end is the end of all."""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from services.verifier.sandbox.inside import program, rooms, system
from services.verifier.sandbox.inside.frames import read_frame, write_all

STARTED, FAILED, ENDED = b"s", b"f", b"e"
END = struct.Struct("=id")
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/go/bin",
    "HOME": "/tmp",  # noqa: S108
    "TMPDIR": "/tmp",  # noqa: S108
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True, slots=True)
class Channels:
    """Descriptors of a job's guardian: the request, where its progress is told, and the program's own."""

    requests: int
    status: int
    stdout: int
    stderr: int
    peer: int | None


def guard(channels: Channels, limits: Mapping[str, Any], others: int) -> NoReturn:
    """Read the job, run it, tell its end, and exit; the kernel then kills what it left behind.

    Nothing that belongs to a job is ever read before this point: no other job's process descends from this one.
    """
    try:
        system.hide_memory(hidden=True)
        os.setsid()
        job = read_frame(channels.requests)
        pid = _started(job, channels, limits, others)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the job did not run, and the answer says so
        write_all(channels.status, FAILED + f"{type(error).__name__}: {error}".encode(errors="replace")[:500])
        os._exit(1)
    system.drop_privileges()
    os.closerange(0, channels.status)
    os.closerange(channels.status + 1, 1 << 20)
    write_all(channels.status, ENDED + END.pack(*_awaited(pid)))
    os._exit(0)


def _started(job: Mapping[str, Any], channels: Channels, limits: Mapping[str, Any], others: int) -> int:
    rooms.make_rooms(limits["disk_bytes"])
    rooms.write_files({name: base64.b64decode(content) for name, content in job["files"].items()})
    stdin = system.sealed_file(base64.b64decode(job["stdin"]))
    write_all(channels.status, STARTED)  # before the program is there: in gVisor it can kill this process
    pid = os.fork()
    if pid == 0:
        _run(job, channels, limits, others, stdin)
    return pid


def _run(job: Mapping[str, Any], channels: Channels, limits: Mapping[str, Any], others: int, stdin: int) -> NoReturn:
    try:
        program.place_descriptors(stdin, channels.stdout, channels.stderr, channels.peer)
        os.environ.clear()
        os.environ.update(_ENVIRONMENT)
        program.restrict(limits, job["python"] is not None, others)
    except BaseException as error:  # noqa: BLE001 - a program without its limits must not start
        os.write(2, f"not started: {error}\n".encode())
        os._exit(program.NOT_STARTED)
    if job["python"] is None:
        program.become(job["command"])
    program.interpret(job["python"])


def _awaited(pid: int) -> tuple[int, float]:
    while True:
        ended, status, usage = os.wait4(-1, 0)
        if ended == pid:
            return status, usage.ru_utime + usage.ru_stime
