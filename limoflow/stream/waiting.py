"""Waiting with a bound."""

from __future__ import annotations

import asyncio


async def wait_at_most(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, at most that long, and say whether it is set.

    `asyncio.wait_for` of Python 3.11 swallows a cancellation that comes together with the result; this does not.
    """
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return event.is_set()
    return True
