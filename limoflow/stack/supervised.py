"""The life of one supervised process: started, ready, crashed, started again, stopped."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum

from limoflow.errors import LimoflowError
from limoflow.stack.processes import ManagedProcess, ProcessSpec

_LOG = logging.getLogger(__name__)


class Phase(StrEnum):
    """Where a supervised process stands."""

    STARTING = "starting"
    READY = "ready"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How soon a process that ended on its own is started again.

    Attributes
    ----------
    first_delay_s, largest_delay_s : float
        Seconds before the first restart, doubled for each further one up to the largest.
    calm_s : float
        A process that has run this many seconds has recovered: the next delay is the first one again.
    """

    first_delay_s: float = 0.2
    largest_delay_s: float = 5.0
    calm_s: float = 20.0

    def delay_s(self, failures: int) -> float:
        """Seconds to wait after this many failures in a row (one or more)."""
        return min(self.first_delay_s * 2.0 ** min(failures - 1, 30), self.largest_delay_s)


class SupervisedProcess:
    """A process that is kept running until it is told to stop. `tick` moves it on and never waits.

    Parameters
    ----------
    spec : ProcessSpec
        What to run.
    policy : RestartPolicy
        When to start it again.

    Attributes
    ----------
    phase : Phase
        Where it stands.
    restarts : int
        How often it was started again.
    failures : int
        Ends in a row without `RestartPolicy.calm_s` seconds of life.
    was_ready : bool
        Whether it has been ready at least once.
    timed_out : bool
        Whether the last start was killed because it did not become ready in time.
    last_exit : int or None
        Exit code of the last end.
    """

    def __init__(self, spec: ProcessSpec, policy: RestartPolicy) -> None:
        self.process = ManagedProcess(spec)
        self.phase = Phase.BACKOFF
        self.restarts = 0
        self.failures = 0
        self.was_ready = False
        self.timed_out = False
        self.last_exit: int | None = None
        self._policy = policy
        self._started_at = 0.0
        self._due_at = 0.0

    @property
    def spec(self) -> ProcessSpec:
        """What it runs."""
        return self.process.spec

    def start(self, now: float) -> None:
        """Start the process; `now` is a monotonic time in seconds."""
        self.process.start()
        self._started_at = now
        self.timed_out = False
        self.phase = Phase.STARTING

    def stop(self, now: float) -> None:
        """Ask the process to end; `tick` kills it when its grace time is over."""
        if self.phase is Phase.BACKOFF:
            self.phase = Phase.ENDED
        elif self.phase in (Phase.STARTING, Phase.READY):
            self.process.terminate()
            self.phase = Phase.STOPPING
            self._due_at = now + self.spec.stop_grace_s

    def kill(self) -> None:
        """End a process that is stopping without waiting for its grace time."""
        self.process.kill()

    def tick(self, now: float) -> None:
        """Look at the process and do what is due."""
        if self.phase is Phase.BACKOFF:
            if now >= self._due_at:
                self._start_again(now)
        elif self.phase is not Phase.ENDED:
            code = self.process.poll()
            if code is not None:
                self._ended(code, now)
            elif self.phase is Phase.STARTING:
                self._watch_start(now)
            elif self.phase is Phase.STOPPING and now >= self._due_at:
                self.process.kill()

    def _start_again(self, now: float) -> None:
        self.restarts += 1
        try:
            self.start(now)
        except LimoflowError as error:
            _LOG.warning("%s could not be started again: %s", self.spec.name, error)
            self._back_off(now)

    def _watch_start(self, now: float) -> None:
        if self.process.is_ready():
            self.phase, self.was_ready = Phase.READY, True
        elif now - self._started_at > self.spec.ready_timeout_s:
            self.timed_out = True
            self.process.kill()

    def _ended(self, code: int, now: float) -> None:
        self.last_exit = code
        if self.phase is Phase.STOPPING or not self.spec.restart:
            self.phase = Phase.ENDED
            return
        _LOG.warning("%s ended with code %d after %.1f s", self.spec.name, code, now - self._started_at)
        if now - self._started_at >= self._policy.calm_s:
            self.failures = 0
        self._back_off(now)

    def _back_off(self, now: float) -> None:
        self.failures += 1
        self._due_at = now + self._policy.delay_s(self.failures)
        self.phase = Phase.BACKOFF
