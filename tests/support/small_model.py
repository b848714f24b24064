"""A causal LM that is built in seconds, for runs whose scores matter to nobody."""

from __future__ import annotations

from pathlib import Path

from models.build import BuildSettings, build_embedded_model

# A run of the full recipe would be a minute longer, and shows no more.
_SETTINGS = BuildSettings(steps=60)


def small_model(folder: Path) -> Path:
    """Build it below `folder`, or find it there, and return its own folder."""
    texts = ((f"How much is {a} and {b}?", f"{a} and {b} is {a + b}.") for a in range(40) for b in range(40))
    return build_embedded_model(texts, folder, settings=_SETTINGS).path
