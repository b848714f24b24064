"""Wiring of the selector."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limoflow.settings import from_environment
from limoflow.stream.types import Emit, Offsets
from services.selector.explain import MEANING
from services.selector.file import select_file
from services.selector.merge import Merge
from services.selector.novelty.earlier import ROLE as NOVELTY
from services.selector.novelty.earlier import add_release, pinned_version
from services.selector.pools import PartitionPools
from services.selector.preflight import check_selection
from services.selector.settings import SelectorSettings
from services.selector.shares_file import mixed_spec

__all__ = [
    "MEANING",
    "NOVELTY",
    "SelectorSettings",
    "add_release",
    "check_selection",
    "mixed_spec",
    "pinned_version",
    "select_file",
    "tasks",
]


def tasks(
    offsets: Offsets,
    settings: SelectorSettings | None = None,
    on_closing: Callable[[Sequence[Emit]], None] | None = None,
) -> tuple[PartitionPools, Merge]:
    """Return the two levels: the partitions' pools, and the merging level that closes windows."""
    settings = settings or from_environment(SelectorSettings)
    return PartitionPools(settings), Merge(settings, offsets, on_closing=on_closing)
