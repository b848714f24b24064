"""One request: start its jobs, hold them to their limits, and answer; this process ends with the request."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import signal
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from services.verifier.sandbox.inside import usage
from services.verifier.sandbox.inside.frames import HEAD, frame, read_exactly, write_all
from services.verifier.sandbox.inside.guardian import END, ENDED, FAILED, STARTED, Channels, guard
from services.verifier.sandbox.inside.system import clone_into_namespaces

_TICK_SECONDS = 0.03
_PIECE = 1 << 16
_DETAIL = 600


@dataclass
class Running:
    """A job that was started."""

    limits: dict[str, Any]
    pid: int
    status: int
    outputs: dict[int, str]
    texts: dict[str, bytearray] = field(default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()})
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    verdict: str | None = None
    code: int | None = None
    detail: str | None = None
    over: bool = False

    def stop(self, verdict: str, detail: str) -> None:
        """Kill everything of the job; the first reason stands."""
        if not self.over and self.verdict is None:
            self.verdict, self.detail = verdict, detail
            os.kill(self.pid, signal.SIGKILL)

    def answer(self) -> dict[str, Any]:
        """Return the outcome as plain data."""
        return {
            "status": self.verdict or "unavailable",
            "code": self.code,
            "seconds": self.seconds,
            "detail": self.detail,
            **{name: base64.b64encode(text).decode() for name, text in self.texts.items()},
        }


def supervise(limits: list[dict[str, Any]], requests: int, replies: int) -> None:
    """Run the one or two jobs whose descriptions follow on `requests`, and write their outcomes to `replies`."""
    peers = socket.socketpair() if len(limits) > 1 else None
    room = sum(each["processes"] for each in limits) - min(each["processes"] for each in limits)
    others = len(usage.processes()) + 2 * len(limits) + room
    jobs = []
    for number, each in enumerate(limits):
        peer = peers[number].detach() if peers else None
        jobs.append(_start(each, requests, others, peer, spare=peers[1 - number].fileno() if peers else -1))
        if peer is not None:
            os.close(peer)
    _watch(jobs)
    write_all(replies, frame([job.answer() for job in jobs]))


def _start(limits: dict[str, Any], requests: int, others: int, peer: int | None, spare: int) -> Running:
    """Start a job's guardian, which alone reads the job: this process must never hold what another job could find."""
    (status, told), (stdout, written), (stderr, complained) = os.pipe(), os.pipe(), os.pipe()
    pid = clone_into_namespaces()
    if pid == 0:
        for descriptor in (status, stdout, stderr, *([spare] if spare >= 0 else [])):
            os.close(descriptor)
        guard(Channels(requests, told, written, complained, peer), limits, others)
    for descriptor in (told, written, complained):
        os.close(descriptor)
    job = Running(limits, pid, status, {stdout: "stdout", stderr: "stderr"})
    first = os.read(status, 1)
    if first != STARTED:
        text = os.read(status, _DETAIL).decode(errors="replace") if first == FAILED else "the guardian ended"
        job.detail = f"not started: {text}"
        _end(job)
    return job


def _watch(jobs: list[Running]) -> None:
    owners = {descriptor: job for job in jobs if not job.over for descriptor in (job.status, *job.outputs)}
    while owners:
        for descriptor in select.select(list(owners), [], [], _TICK_SECONDS)[0]:
            job = owners.get(descriptor)
            if job is None:
                continue
            if descriptor == job.status:
                _note_end(job)
                owners = {number: owner for number, owner in owners.items() if owner is not job}
            elif not _take(job, descriptor):
                del owners[descriptor]
        if jobs[-1].over:
            jobs[0].stop("signalled", "killed: the tests ended")
        _enforce([job for job in jobs if not job.over])


def _take(job: Running, descriptor: int) -> bool:
    """Read a piece of output; False at its end."""
    piece = os.read(descriptor, _PIECE)
    text, most = job.texts[job.outputs[descriptor]], job.limits["output_bytes"]
    text += piece[: most - len(text)]
    if piece and len(text) >= most:
        job.stop("output_limit", f"more than {most} bytes on {job.outputs[descriptor]}")
    return bool(piece)


def _note_end(job: Running) -> None:
    told = os.read(job.status, 1 + _DETAIL)
    if told[:1] == FAILED:
        job.detail = job.detail or f"not started: {told[1:].decode(errors='replace')}"
    elif job.verdict is None and told[:1] == ENDED and len(told) == 1 + END.size:
        status, cpu_seconds = END.unpack(told[1:])
        _judge(job, status, cpu_seconds)
    _end(job)


def _judge(job: Running, status: int, cpu_seconds: float) -> None:
    if os.WIFEXITED(status):
        job.verdict, job.code = "exited", os.WEXITSTATUS(status)
        return
    job.code = os.WTERMSIG(status)
    beyond = cpu_seconds >= job.limits["cpu_seconds"] and job.code in {signal.SIGKILL, signal.SIGXCPU}
    job.verdict = "cpu_limit" if beyond else "signalled"


def _end(job: Running) -> None:
    """Kill and reap the guardian: the kernel returns when nothing of the job lives; then take what was still said."""
    job.seconds = time.monotonic() - job.began
    with contextlib.suppress(ProcessLookupError):
        os.kill(job.pid, signal.SIGKILL)
    _, status = os.waitpid(job.pid, 0)
    if job.verdict is None and job.detail is None:
        job.verdict, job.detail = "signalled", "everything of the job was killed"
        job.code = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    job.over = True
    for descriptor in job.outputs:
        _drain(job, descriptor)
        os.close(descriptor)
    os.close(job.status)


def _drain(job: Running, descriptor: int) -> None:
    while piece := os.read(descriptor, _PIECE):
        text, most = job.texts[job.outputs[descriptor]], job.limits["output_bytes"]
        text += piece[: most - len(text)]
        if len(text) >= most and job.verdict == "exited":
            job.verdict, job.detail = "output_limit", f"more than {most} bytes on {job.outputs[descriptor]}"


def _enforce(jobs: list[Running]) -> None:
    now = time.monotonic()
    used = usage.by_job([job.pid for job in jobs]) if any(now - job.began > _TICK_SECONDS for job in jobs) else {}
    for job in jobs:
        limits = job.limits
        if now - job.began > limits["wall_seconds"]:
            job.stop("wall_limit", f"longer than {limits['wall_seconds']:g} s")
        if job.pid not in used:
            continue
        sums = used[job.pid]
        if sums.cpu_seconds > limits["cpu_seconds"]:
            job.stop("cpu_limit", f"more than {limits['cpu_seconds']:g} s of CPU time")
        elif sums.resident_bytes > limits["memory_bytes"]:
            job.stop("memory_limit", f"more than {limits['memory_bytes']} bytes resident")
        elif sums.tasks > 2 * limits["processes"] + 2:
            job.stop("signalled", f"more than {limits['processes']} processes")


def read_limits(requests: int, first: bytes) -> list[dict[str, Any]]:
    """Read the head of a request, of which the first byte was read already."""
    (size,) = HEAD.unpack(first + read_exactly(requests, HEAD.size - len(first)))
    limits = json.loads(read_exactly(requests, size))
    assert isinstance(limits, list)  # noqa: S101 - the service writes it
    return limits
