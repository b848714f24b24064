"""Where the local stack keeps its state (per project) and its downloads (per user)."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """Folder of one stack's state, logs and broker data: ``$LIMOFLOW_HOME``, else ``./.limoflow``."""
    return Path(os.environ.get("LIMOFLOW_HOME") or ".limoflow").absolute()


def cache_folder() -> Path:
    """Folder of what every stack of this user shares: ``$LIMOFLOW_CACHE``, else ``~/.cache/limoflow``."""
    chosen = os.environ.get("LIMOFLOW_CACHE")
    return Path(chosen).absolute() if chosen else Path.home() / ".cache" / "limoflow"
