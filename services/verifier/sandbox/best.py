"""Find a sandbox that works on this machine and keeps what it promises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from services.verifier.sandbox.box import Launcher
from services.verifier.sandbox.bubblewrap import Bubblewrap
from services.verifier.sandbox.fork_servers import ForkServers
from services.verifier.sandbox.gvisor import Gvisor
from services.verifier.sandbox.interface import Sandbox, Unavailable
from services.verifier.sandbox.probe import holes
from services.verifier.settings import VerifierSettings

Maker = Callable[[Sequence[Path]], Launcher]
BACK_ENDS: dict[str, Maker] = {"bubblewrap": Bubblewrap, "gvisor": Gvisor}


async def best_sandbox(settings: VerifierSettings | None = None) -> Sandbox:
    """Return the first back end that starts and from which no attempt to escape succeeds.

    Returns
    -------
    Sandbox
        `Unavailable`, with every back end's reason, where there is none.
    """
    settings = settings or VerifierSettings()
    names = list(BACK_ENDS) if settings.sandbox == "auto" else [settings.sandbox]
    reasons = []
    for name in names:
        sandbox = await _probed(name, settings)
        if sandbox.reason is None:
            return sandbox
        reasons.append(f"{name}: {sandbox.reason}")
    return Unavailable("no sandbox works here; " + "; ".join(reasons))


def examine(settings: VerifierSettings | None = None) -> tuple[str, str | None]:
    """Start a sandbox, try to escape from it, and close it again; for start-up and diagnosis, not inside a loop.

    Returns
    -------
    tuple
        Name of the back end, and why there is none (None where there is one).
    """

    async def once() -> tuple[str, str | None]:
        sandbox = await best_sandbox(settings)
        await sandbox.close()
        return sandbox.name, sandbox.reason

    return asyncio.run(once())


async def _probed(name: str, settings: VerifierSettings) -> Sandbox:
    if name not in BACK_ENDS:
        return Unavailable("switched off by LIMOFLOW_VERIFIER_SANDBOX")
    try:
        launcher = BACK_ENDS[name](settings.sandbox_folders)
    except (OSError, KeyError) as error:
        return Unavailable(str(error))
    sandbox = ForkServers(launcher, settings.sandbox_boxes)
    try:
        found = await holes(sandbox)
    except BaseException:
        await sandbox.close()
        raise
    if found:
        await sandbox.close()
        return Unavailable("did not hold back: " + "; ".join(dict.fromkeys(found)))
    return sandbox
