"""Circuit breaker: after repeated failures of a dependency, stop asking it for a while, then try once.

Nygard, Release It!, 2007.
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from limoflow.errors import BreakerOpen, DependencyUnavailable

Result = TypeVar("Result")


class BreakerState(enum.Enum):
    """Whether calls pass (closed), are refused (open), or one at a time tries (half-open)."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Counts consecutive failures of one dependency; only `DependencyUnavailable` is a failure.

    Parameters
    ----------
    name : str
        The dependency, for messages.
    threshold : int
        Consecutive failures that open the breaker, at least 1.
    open_seconds : float
        How long it refuses calls before one may try.
    clock : callable
        Monotonic seconds.
    sleep : callable
        Waits that many seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        threshold: int = 5,
        open_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if threshold < 1 or open_seconds <= 0:
            raise ValueError(f"breaker {name}: threshold {threshold} and open_seconds {open_seconds} must be positive")
        self._name = name
        self._threshold = threshold
        self._open_seconds = open_seconds
        self._clock = clock
        self._sleep = sleep
        self._failures = 0
        self._opened_at: float | None = None
        self._trying = False
        self._change = asyncio.Event()

    @property
    def state(self) -> BreakerState:
        """The state now."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._remaining() <= 0 else BreakerState.OPEN

    async def call(self, function: Callable[[], Awaitable[Result]]) -> Result:
        """Await `function()` and learn from its outcome.

        Raises
        ------
        BreakerOpen
            Without calling, while open, or half-open with a trial under way.
        """
        trial = self._admit()
        try:
            result = await function()
        except DependencyUnavailable:
            self._failed(trial)
            raise
        except Exception:
            # The dependency answered; what it said is the caller's affair.
            self._succeeded(trial)
            raise
        except BaseException:
            # Cancelled: nothing was learnt.
            self._release(trial)
            raise
        self._succeeded(trial)
        return result

    async def wait_closed(self) -> None:
        """Return when a call would be admitted: closed, or half-open with no trial under way."""
        while not self._admits():
            if self.state is BreakerState.OPEN:
                await self._sleep(self._remaining())
            else:
                self._change.clear()
                await self._change.wait()

    def _admits(self) -> bool:
        return self._opened_at is None or (self._remaining() <= 0 and not self._trying)

    def _admit(self) -> bool:
        """Return whether the admitted call is the trial of a half-open breaker."""
        if not self._admits():
            raise BreakerOpen(
                f"{self._name}: refused after {self._failures} consecutive failures; "
                f"next trial in {max(0.0, self._remaining()):.1f} s"
            )
        self._trying = self._opened_at is not None
        return self._trying

    def _remaining(self) -> float:
        return 0.0 if self._opened_at is None else self._opened_at + self._open_seconds - self._clock()

    def _failed(self, trial: bool) -> None:
        self._failures += 1
        # A late failure of a call from before the opening must not prolong it.
        if trial or (self._opened_at is None and self._failures >= self._threshold):
            self._opened_at = self._clock()
        self._release(trial)

    def _succeeded(self, trial: bool) -> None:
        if trial or self._opened_at is None:
            self._failures = 0
            self._opened_at = None
        self._release(trial)

    def _release(self, trial: bool) -> None:
        if trial:
            self._trying = False
        self._change.set()
