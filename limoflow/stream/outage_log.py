"""Why work waits for something that is out, in the logs: at once, and then now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from limoflow.redaction import redacted

_EVERY_S = 60.0
_MAX_SUBJECTS = 1000
_MAX_TEXT = 2000
_log = structlog.stdlib.get_logger(__name__)


class OutageLog:
    """Logs outages: of each subject and class of error the first at once, then at most one a minute.

    Parameters
    ----------
    clock : callable
        Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}

    def tell(self, subject: str, error: Exception, **fields: str) -> None:
        """Log an error of what `subject` waits for, with these fields, secrets masked."""
        now, key = self._clock(), (subject, type(error).__name__)
        if key in self._told and 0 <= now - self._told[key] < _EVERY_S:
            return
        if len(self._told) >= _MAX_SUBJECTS:
            self._told.clear()
        self._told[key] = now
        _log.warning("waiting", subject=subject, error_class=key[1], error=redacted(str(error))[:_MAX_TEXT], **fields)
