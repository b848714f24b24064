"""The sandbox of a check: found when it is first needed, once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from services.verifier.sandbox.interface import Sandbox
from services.verifier.settings import VerifierSettings


class SharedSandbox:
    """Finds a sandbox once, whoever asks first.

    Parameters
    ----------
    settings : VerifierSettings
    find : callable
        Such as `best_sandbox`.
    """

    def __init__(self, settings: VerifierSettings, find: Callable[[VerifierSettings], Awaitable[Sandbox]]) -> None:
        self._settings = settings
        self._find = find
        self._found: Sandbox | None = None
        self._lock = asyncio.Lock()

    async def get(self) -> Sandbox:
        """Return the sandbox."""
        async with self._lock:
            if self._found is None:
                self._found = await self._find(self._settings)
            return self._found

    async def close(self) -> None:
        """End it."""
        found, self._found = self._found, None
        if found is not None:
            await found.close()
