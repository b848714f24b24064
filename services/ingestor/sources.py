"""What a kind of source is (entry points `limoflow.sources`), and the words that it speaks in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from limoflow.plugins import load_operator, operators
from schemas.run import RunSpec, Source

GROUP = "limoflow.sources"
OWN = {"files": "services.ingestor.files:Files"}


class SourceError(ValueError):
    """A file or a source that cannot be read; the message names it and says why."""


class NothingMatches(SourceError):
    """There is no file: a followed source waits for one."""


class ImpossibleSource(SourceError):
    """An address that can never be read as it is written: waiting does not help, followed or not."""


class Unit(NamedTuple):
    """One file of a source: its name relative to the source's fixed root, where it lies, and its size in bytes."""

    name: str
    address: str
    size: int


class Row(NamedTuple):
    """One row as it was read.

    Attributes
    ----------
    number : int
        Line (JSONL), record (CSV) or row (Parquet, JSON array), from 0.
    after : int
        The position to resume from once this row is done.
    value : Any
        What the row holds; None where `error` says why it could not be read.
    original : bytes
        The bytes of the row; empty where the format has none of its own.
    passed : int
        Bytes without rows that were passed over, where this is no row but a place to go on from, and `number` that of
        the next row. Readers give one now and then, so that no file keeps the others waiting.
    """

    number: int
    after: int
    value: Any
    original: bytes
    error: str | None = None
    passed: int = 0


class Unreadable:
    """Stands for a value that there is no way to hold, such as a date beyond the year 9999; `reason` says why."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"<unreadable: {self.reason}>"


class SourceKind(Protocol):
    """Lists the units of a source and reads the rows of one."""

    def units(self, source: Source) -> list[Unit]:
        """Return the units there are now, sorted by name.

        Raises
        ------
        NothingMatches
            When there is no unit.
        ImpossibleSource
            When there can never be one.
        SourceError
            When the source cannot be listed for another reason.
        DependencyUnavailable
            When a remote store does not answer.
        """
        ...

    def rows(self, unit: Unit, source: Source, position: int, number: int) -> Iterator[Row]:
        """Yield the rows from a position on; `number` is the number of the first of them.

        Raises
        ------
        SourceError
            When the unit cannot be read, at the start or from some row on.
        DependencyUnavailable
            When a remote store does not answer.
        """
        ...


def source_kind(name: str) -> SourceKind:
    """Return the source plug-in of that name.

    Raises
    ------
    UsageError
        When there is none.
    """
    kind: SourceKind = load_operator(GROUP, name, OWN)()
    return kind


def unknown_kinds(spec: RunSpec) -> list[str]:
    """Return the kinds in a spec that no plug-in offers."""
    return sorted({source.kind for source in spec.sources} - set(operators(GROUP, OWN)))


def anchored(spec: RunSpec, folder: Path | str | None) -> RunSpec:
    """Return the spec with its relative source paths laid below `folder`; addresses and absolute paths stay."""
    if folder is None:
        return spec
    sources = [
        source
        if "://" in source.path or Path(source.path).is_absolute()
        else source.model_copy(update={"path": str(Path(folder) / source.path)})
        for source in spec.sources
    ]
    return spec.model_copy(update={"sources": sources})


def shown(unit: Unit, folder: Path | str | None) -> str:
    """Return a unit's name as the user would write it: relative to the folder of the run where it lies below it."""
    if folder is not None and unit.address.startswith(f"{folder}/"):
        return unit.address.removeprefix(f"{folder}/")
    return unit.name
