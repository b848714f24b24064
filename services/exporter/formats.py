"""Export formats: plug-ins of the entry point group `limoflow.formats`, ours through the same door."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Protocol

from limoflow.errors import UsageError
from limoflow.plugins import operators
from services.exporter.folder import Target
from services.exporter.rows import ReleaseData

GROUP = "limoflow.formats"
OWN = {
    "alpaca": "services.exporter.text_formats:alpaca",
    "chat": "services.exporter.text_formats:chat",
    "huggingface": "services.exporter.tables:huggingface",
    "jsonl": "services.exporter.text_formats:jsonl",
    "parquet": "services.exporter.tables:parquet",
}


class Format(Protocol):
    """Writes one form of a release. The same release must give the same bytes: no clock, no random order.

    The files may have any name that no other format uses; `OSError` (a full disk) is left to rise.
    """

    def __call__(self, data: ReleaseData, target: Target) -> None:
        """Write the files of this format."""
        ...


def known_formats() -> dict[str, EntryPoint]:
    """Return the formats by name, not loaded yet."""
    return operators(GROUP, OWN)


def check_formats(names: Iterable[str]) -> list[str]:
    """Return one sentence for each name that is no format; empty when all are known.

    Parameters
    ----------
    names : iterable of str
        `RunSpec.export.formats`.
    """
    known = list(known_formats())
    problems = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "a plug-in may be missing"
            problems.append(f"export.formats: unknown format {name!r} ({hint}); known: {', '.join(known)}")
    return problems


def load_formats(names: Iterable[str]) -> dict[str, Format]:
    """Load formats by name, each once, in order of name.

    Raises
    ------
    UsageError
        When a name is unknown or its plug-in cannot be imported.
    """
    wanted = sorted(set(names))
    if problems := check_formats(wanted):
        raise UsageError("; ".join(problems))
    return {name: _loaded(point) for name, point in known_formats().items() if name in wanted}


def _loaded(point: EntryPoint) -> Format:
    try:
        loaded: Format = point.load()
    except (ImportError, AttributeError) as error:
        raise UsageError(f"export format {point.name!r} ({point.value}) cannot be loaded: {error}") from error
    return loaded
