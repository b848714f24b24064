"""Keeps the processes of one stack running, and leaves none behind."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from limoflow.errors import LimoflowError, UsageError
from limoflow.stack.commands import CommandInbox, ScaleCommand
from limoflow.stack.processes import ProcessSpec, not_ready
from limoflow.stack.signals import SignalWatch
from limoflow.stack.state import (
    STACK_VARIABLE,
    ProcessState,
    StackState,
    encode_state,
    held,
    read_state,
    state_path,
    sweep,
    write_atomically,
)
from limoflow.stack.supervised import Phase, RestartPolicy, SupervisedProcess

_LOG = logging.getLogger(__name__)
_TICK_S = 0.1
_EARLY_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Service:
    """Processes that belong together.

    Attributes
    ----------
    name : str
        Such as ``scorer``.
    make : callable
        Gives the `ProcessSpec` of replica 0, 1, 2, ...; called once per replica, so it may take free ports.
    replicas : int
        How many to start.
    scalable : bool
        Whether `Supervisor.scale` may change that.
    """

    name: str
    make: Callable[[int], ProcessSpec]
    replicas: int = 1
    scalable: bool = True

    @classmethod
    def single(cls, spec: ProcessSpec) -> Service:
        """One process that is not scalable, such as the broker."""
        return cls(spec.name, lambda _: spec, scalable=False)


@dataclass(slots=True)
class _Member:
    service: Service
    index: int
    batch: int
    process: SupervisedProcess


class Supervisor:
    """Runs services from one thread, restarts what ends, and stops everything on leaving the ``with`` block.

    Use it in the main thread of a process with no other threads (it forks, and it takes over SIGINT, SIGTERM, SIGHUP
    and SIGCHLD inside the block). If the supervisor is killed, the kernel kills its processes.

    Parameters
    ----------
    state_folder : Path
        Folder for the lock, ``state.json``, commands and logs of this stack.
    policy : RestartPolicy
        When to start a process again.

    Raises
    ------
    UsageError
        On entering, if another supervisor works in the same folder.

    Examples
    --------
    >>> with Supervisor(folder) as supervisor:  # doctest: +SKIP
    ...     supervisor.start([Service.single(broker.spec())])
    ...     supervisor.start([Service("scorer", scorer_spec, replicas=2)])
    ...     supervisor.run()
    """

    def __init__(self, state_folder: Path, policy: RestartPolicy | None = None) -> None:
        self._folder = state_folder.absolute()
        self._policy = policy or RestartPolicy()
        self._stack_id = uuid.uuid4().hex
        self._members: list[_Member] = []
        self._scalable: dict[str, tuple[Service, int]] = {}
        self._batches = 0
        self._phase, self._error, self._written = "starting", "", ""
        self._signals = SignalWatch()
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self._resources.enter_context(held(self._folder))
        try:
            earlier = read_state(self._folder)
            if earlier is not None:
                sweep(earlier.stack_id)
            self._inbox = CommandInbox(self._folder)
            self._resources.enter_context(self._signals)
            self._write()
        except BaseException:
            self._resources.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._resources:
            if isinstance(error, Exception):
                self._error = str(error) or type(error).__name__
            self._stop()

    def start(self, services: Sequence[Service]) -> None:
        """Start services together and return when all their processes are ready (or have ended well, without restart).

        Raises
        ------
        StackError
            If a process ends three times before it was ever ready, or is not ready in time.
        MissingDependency
            If a program is not there.
        KeyboardInterrupt
            If SIGINT, SIGTERM or SIGHUP came.
        """
        self._phase = "starting"
        batch, self._batches = self._batches, self._batches + 1
        for service in services:
            if service.scalable:
                self._scalable[service.name] = (service, batch)
            for index in range(service.replicas):
                self._launch(service, index, batch)
        while waiting := [member for member in self._members if member.batch == batch and not _settled(member.process)]:
            for member in waiting:
                _refuse_failed(member.process)
            self._tick()
            if self._signals.stop_requests:
                raise KeyboardInterrupt
        self._write()

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Supervise until SIGINT, SIGTERM or SIGHUP comes, or `until` (asked ten times a second) says so."""
        self._phase = "running"
        self._write()
        while not self._signals.stop_requests and not until():
            self._tick()

    def scale(self, service: str, replicas: int) -> None:
        """Start or stop processes of a service; returns at once, supervision does the rest.

        The highest replicas go first, and each may finish its work within its grace time.

        Raises
        ------
        UsageError
            If no scalable service has that name.
        """
        if service not in self._scalable:
            known = ", ".join(sorted(self._scalable)) or "none"
            raise UsageError(f"{service!r} is not a service that can be scaled (those are: {known})")
        definition, batch = self._scalable[service]
        staying = {
            member.index: member
            for member in self._members
            if member.service.name == service and member.process.phase not in (Phase.STOPPING, Phase.ENDED)
        }
        for index in sorted(staying, reverse=True)[: max(0, len(staying) - replicas)]:
            staying[index].process.stop(time.monotonic())
        taken = {member.index for member in self._members if member.service.name == service}
        free = (index for index in range(len(taken) + replicas) if index not in taken)
        for index in list(free)[: max(0, replicas - len(staying))]:
            self._launch(definition, index, batch)
        self._write()

    def _launch(self, service: Service, index: int, batch: int) -> None:
        spec = service.make(index)
        spec = replace(spec, env={**spec.env, STACK_VARIABLE: self._stack_id})
        process = SupervisedProcess(spec, self._policy)
        process.start(time.monotonic())
        self._members.append(_Member(service, index, batch, process))

    def _tick(self) -> None:
        self._inbox.serve(self._obey)
        self._advance()
        self._signals.sleep(_TICK_S)

    def _obey(self, command: ScaleCommand) -> None:
        try:
            self.scale(command.service, command.replicas)
        except UsageError:
            raise
        except LimoflowError as error:
            raise UsageError(f"{command.service} cannot be scaled to {command.replicas}: {error}") from error

    def _advance(self) -> None:
        for member in self._members:
            member.process.tick(time.monotonic())
        self._members = [
            member
            for member in self._members
            if member.process.phase is not Phase.ENDED or not (member.service.scalable and member.process.spec.restart)
        ]
        self._write()

    def _stop(self) -> None:
        self._phase = "stopping"
        requests = self._signals.stop_requests
        for batch in range(self._batches - 1, -1, -1):
            for member in (mine := [member for member in self._members if member.batch == batch]):
                member.process.stop(time.monotonic())
            self._write()
            while any(member.process.phase is not Phase.ENDED for member in mine):
                if self._signals.stop_requests > requests:
                    for member in mine:
                        member.process.kill()
                self._advance()
                self._signals.sleep(_TICK_S)
        if stragglers := sweep(self._stack_id):
            _LOG.warning("killed %d processes that services left behind: %s", len(stragglers), stragglers)
        self._phase = "failed" if self._error else "stopped"
        self._write()

    def _write(self) -> None:
        processes = tuple(_describe(member) for member in self._members)
        text = encode_state(StackState(self._stack_id, os.getpid(), self._phase, self._error, processes))
        if text != self._written:
            write_atomically(state_path(self._folder), text)
            self._written = text


def _settled(process: SupervisedProcess) -> bool:
    return process.phase is Phase.READY or (process.phase is Phase.ENDED and process.last_exit == 0)


def _refuse_failed(process: SupervisedProcess) -> None:
    if process.timed_out:
        raise not_ready(process.spec, None)
    if process.phase is Phase.ENDED or (process.failures >= _EARLY_FAILURES and not process.was_ready):
        raise not_ready(process.spec, process.last_exit)


def _describe(member: _Member) -> ProcessState:
    process, spec = member.process, member.process.spec
    return ProcessState(
        name=spec.name,
        service=member.service.name,
        phase=process.phase.value,
        pid=process.process.pid,
        restarts=process.restarts,
        last_exit=process.last_exit,
        log_path=str(spec.log_path),
        ports=dict(spec.ports),
    )
