"""Signals as data: a supervisor sleeps until a child ends or somebody asks it to stop."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Any, Self

_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalWatch:
    """Counts requests to stop and wakes a sleeper; handlers do nothing else, so no code is interrupted half-way.

    Works in the main thread only. The earlier handlers come back on exit.

    Attributes
    ----------
    stop_requests : int
        How many SIGINT, SIGTERM and SIGHUP came.
    """

    def __init__(self) -> None:
        self.stop_requests = 0
        self._earlier: dict[signal.Signals, Any] = {}
        self._reader, self._writer = os.pipe()
        self._earlier_wakeup = -1

    def __enter__(self) -> Self:
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._earlier_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (*_STOP, signal.SIGCHLD):
            self._earlier[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if number in _STOP:
            self.stop_requests += 1

    def sleep(self, seconds: float) -> None:
        """Sleep until a signal comes or the time is over."""
        if select.select([self._reader], [], [], seconds)[0]:
            os.read(self._reader, 4096)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._earlier_wakeup)
        os.close(self._reader)
        os.close(self._writer)
