"""Structured logs: JSON lines on standard output, key=value on a terminal; secrets never leave.

Logs of libraries (faust, aiokafka, ...) come through the standard library's logging and take the same way.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, TextIO

import orjson
import structlog

from limoflow.errors import UsageError
from limoflow.redaction import MASK, is_secret_name, known_secrets, redacted

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def configure_logs(
    service: str,
    instance: str,
    *,
    level: str = "INFO",
    stream: TextIO | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Set up the logs of this process, in place of what was set up before.

    Parameters
    ----------
    service, instance : str
        Written on every line.
    level : {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
        The least level that is written.
    stream : TextIO, optional
        Standard output by default; where it is a terminal the lines are for people.
    environment : mapping, optional
        Where secrets are known from: the values of variables that are named like one are masked wherever they turn up.
        The process's own by default.

    Raises
    ------
    UsageError
        When the level is unknown.
    """
    if level.upper() not in _LEVELS:
        raise UsageError(f"log level {level!r} is unknown; LIMOFLOW_LOG_LEVEL is one of {', '.join(_LEVELS)}")
    target = stream if stream is not None else sys.stdout
    redact = _Redaction(known_secrets(environment))
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Fixed(service=service, instance=instance),
    ]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(target, redact)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def context(**fields: Any) -> AbstractContextManager[None]:
    """Write `fields` (run_id, sample_id, ...) on every line of this thread or asyncio task, inside a `with`."""
    return structlog.contextvars.bound_contextvars(**fields)


def _rendering(stream: TextIO, redact: _Redaction) -> list[structlog.typing.Processor]:
    if stream.isatty():
        return [structlog.processors.format_exc_info, redact, structlog.dev.ConsoleRenderer()]
    return [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer(serializer=_json)]


def _json(fields: Any, **_: Any) -> str:
    return orjson.dumps(fields, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class _Fixed:
    def __init__(self, **fields: str) -> None:
        self._fields = fields

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.update({name: value for name, value in self._fields.items() if name not in event})
        return event


class _Redaction:
    """Masks what is named like a secret, looks like one, or is one of the known values."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secrets)

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {str(name): self._field(str(name), value) for name, value in event.items()}

    def _field(self, name: str, value: Any) -> Any:
        return MASK if is_secret_name(name) else self._value(value)

    def _value(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and -(2**63) <= value < 2**64):
            return value
        if isinstance(value, Mapping):
            return {str(name): self._field(str(name), part) for name, part in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._value(part) for part in value]
        text = redacted(value if isinstance(value, str) else str(value), self._secrets)
        # Half a surrogate pair cannot be written as UTF-8, and a log line must never fail for it.
        return text.encode("utf-8", "replace").decode()
