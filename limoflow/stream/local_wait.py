"""Waiting for changes of the local log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from limoflow.stream.local import LocalTransport


def listening(transport: LocalTransport) -> tuple[asyncio.Event, Callable[[], None]]:
    """Return an event of the running loop that every change of the transport sets, and what undoes that."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(changed.set)

    transport.listen(wake)
    return changed, lambda: transport.unlisten(wake)
