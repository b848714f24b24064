"""Operators found through entry points; our own come through the same door."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from limoflow.errors import UsageError


def operators(group: str, own: Mapping[str, str]) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, sorted.

    Parameters
    ----------
    group : str
        Such as `limoflow.checks`.
    own : mapping of str to str
        limoflow's own operators as `module:attribute`, for a checkout whose metadata is not installed; an installed
        entry point of the same name stands.
    """
    found = {name: EntryPoint(name, value, group) for name, value in own.items()}
    found.update({point.name: point for point in entry_points(group=group)})
    return dict(sorted(found.items()))


def load_operator(group: str, name: str, own: Mapping[str, str]) -> Any:
    """Import one operator.

    Raises
    ------
    UsageError
        When no distribution offers it.
    """
    known = operators(group, own)
    if name not in known:
        raise UsageError(f"{group} knows no {name!r}; known: {', '.join(known)}")
    return known[name].load()
