"""How a record is settled: done, dead-lettered, or tried again (promise G5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from limoflow.errors import DependencyUnavailable, InvariantBroken, PoisonError
from limoflow.stream.dead_letters import dead_letter
from limoflow.stream.observer import SilentObserver, StreamObserver
from limoflow.stream.outage_log import OutageLog
from limoflow.stream.types import Emit, Record, Stage

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon a record is tried again.

    Attributes
    ----------
    attempts : int
        Tries of a failing handler, the first one included.
    backoff_s : float
        Wait after the first failure, doubled after each further one.
    outage_backoff_s, outage_cap_s : float
        First and longest wait while a dependency is out; there is no bound on their number.
    """

    attempts: int = 3
    backoff_s: float = 0.1
    outage_backoff_s: float = 0.2
    outage_cap_s: float = 10.0

    def pause(self, failures: int) -> float:
        """Return the wait in seconds after that many failures of the handler."""
        return float(self.backoff_s * 2 ** (failures - 1))

    def outage_pause(self, waits: int) -> float:
        """Return the wait in seconds after that many earlier waits in the same outage."""
        return float(min(self.outage_cap_s, self.outage_backoff_s * 2 ** min(waits, 30)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a record was settled.

    Attributes
    ----------
    emits : sequence of Emit
        What is to be written before the record is acknowledged; a dead letter where `error` is set.
    error : Exception or None
        Why the record is dead.
    """

    emits: Sequence[Emit]
    error: Exception | None = None

    @property
    def word(self) -> str:
        """`done` or `dead_lettered`."""
        return "done" if self.error is None else "dead_lettered"


async def settle(
    stage: Stage,
    record: Record,
    policy: RetryPolicy | None = None,
    *,
    sleep: Sleep = asyncio.sleep,
    observer: StreamObserver | None = None,
    outages: OutageLog | None = None,
) -> Outcome:
    """Handle a record until it is done or dead.

    Parameters
    ----------
    outages : OutageLog, optional
        Where it is told what the record waits for; one for all records in flight, for what is out is out for all.

    Raises
    ------
    InvariantBroken
        The process must end.
    asyncio.CancelledError
        The record stays unacknowledged.
    """
    try:
        return Outcome(await stage.handle(record))
    except InvariantBroken:
        raise
    except Exception as error:  # noqa: BLE001 - every failure of a handler becomes an outcome
        return await _settle_failed(
            stage,
            record,
            policy or RetryPolicy(),
            error,
            sleep=sleep,
            observer=observer or SilentObserver(),
            outages=outages or OutageLog(),
        )


async def _settle_failed(
    stage: Stage,
    record: Record,
    policy: RetryPolicy,
    error: Exception,
    *,
    sleep: Sleep,
    observer: StreamObserver,
    outages: OutageLog,
) -> Outcome:
    failures = waits = 0
    while True:
        if isinstance(error, DependencyUnavailable):
            pause = policy.outage_pause(waits)
            waits += 1
            outages.tell(stage.name, error)
        else:
            failures += 1
            waits = 0
            if isinstance(error, PoisonError) or failures >= policy.attempts:
                return dead(stage, record, error, failures)
            pause = policy.pause(failures)
        observer.retried(stage.name, type(error).__name__)
        await sleep(pause)
        try:
            return Outcome(await stage.handle(record))
        except InvariantBroken:
            raise
        except Exception as again:  # noqa: BLE001 - every failure of a handler becomes an outcome
            error = again


def dead(stage: Stage, record: Record, error: Exception, attempts: int) -> Outcome:
    """Return the outcome of a record that cannot be handled."""
    letter = dead_letter(record, stage=stage.name, version=stage.version, error=error, attempts=attempts)
    return Outcome((letter,), error)
