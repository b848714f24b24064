"""Ends the process when a call that has a timeout of its own does not come back."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOG = logging.getLogger(__name__)
_EXIT_CODE = 70


def end_process() -> None:
    """End the process at once: a thread that hangs in a C library would hold up an orderly exit."""
    os._exit(_EXIT_CODE)


class Watchdog:
    """Watches one call at a time, in a thread of its own.

    Parameters
    ----------
    limit_s : float
        The longest time a call may take.
    bite : callable
        What to do then.
    """

    def __init__(self, limit_s: float, bite: Callable[[], None] = end_process) -> None:
        self._limit_s = limit_s
        self._bite = bite
        self._watched: tuple[str, float] | None = None
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="limoflow-watchdog", daemon=True).start()

    @contextmanager
    def watching(self, what: str) -> Iterator[None]:
        """Watch the call inside the block."""
        self._watched = (what, time.monotonic())
        try:
            yield
        finally:
            self._watched = None

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(min(1.0, self._limit_s / 4)):
            watched = self._watched
            if watched is not None and time.monotonic() - watched[1] > self._limit_s:
                _LOG.critical("%s has not come back for %g s; the process ends", watched[0], self._limit_s)
                self._bite()
                return
