"""The trace that the work at hand belongs to; free of any tracing library, so that being off costs nothing."""

from __future__ import annotations

from contextvars import ContextVar

CURRENT: ContextVar[str | None] = ContextVar("limoflow_trace_id", default=None)
"""The id of the sampled trace (32 hexadecimal digits) in this task or thread, or None."""


def exemplar() -> dict[str, str] | None:
    """Return the exemplar for an observation made now, or None outside a sampled trace."""
    trace_id = CURRENT.get()
    return None if trace_id is None else {"trace_id": trace_id}
