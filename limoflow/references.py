"""What `${...}` in a RunSpec stands for, counted before it is written out: references to references double."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from limoflow.errors import RunSpecError
from limoflow.plain_yaml import MAX_NODES
from limoflow.redaction import redacted

MAX_CHARACTERS = 4_000_000
"""Characters in the texts of a RunSpec, its references written out."""

_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
_ENVIRONMENT = re.compile(r"\s*oc\.env\s*:\s*[A-Za-z_]\w*\s*(,.*)?", re.DOTALL)
_KEY = re.compile(r"\s*\.*[\w\-/]+(\.[\w\-/]+|\[[\w\-/]+\])*\s*")


class _Size(NamedTuple):
    values: float
    characters: float


_ENDLESS = _Size(float("inf"), float("inf"))
_NOTHING = _Size(0, 0)


def check_references(plain: Any, origin: str) -> None:
    """Refuse a spec whose references are more than `${key}` and `${oc.env:NAME}`, or stand for too much.

    Raises
    ------
    RunSpecError
        Naming `origin`, the value, or the bound.
    """
    size = _Counter(plain, origin).size(plain, ())
    if size.values > MAX_NODES or size.characters > MAX_CHARACTERS:
        raise RunSpecError(
            f"{origin}: with its references ${{...}} written out it has more than {MAX_NODES} values or "
            f"{MAX_CHARACTERS} characters"
        )


@dataclass
class _Counter:
    root: Any
    origin: str
    known: dict[tuple[str, ...], _Size] = field(default_factory=dict)

    def size(self, value: Any, place: tuple[str, ...]) -> _Size:
        if place not in self.known:
            # What refers to what it stands in has no end.
            self.known[place] = _ENDLESS
            self.known[place] = self._size(value, place)
        return self.known[place]

    def _size(self, value: Any, place: tuple[str, ...]) -> _Size:
        if isinstance(value, dict):
            parts = [self.size(part, (*place, str(key))) for key, part in value.items()]
            names = sum(len(str(key)) for key in value)
            return _Size(1 + len(parts) + sum(it.values for it in parts), names + sum(it.characters for it in parts))
        if isinstance(value, list):
            parts = [self.size(part, (*place, str(index))) for index, part in enumerate(value)]
            return _Size(1 + sum(it.values for it in parts), sum(it.characters for it in parts))
        if not isinstance(value, str):
            return _Size(1, 0)
        parts = [self._named(name, place) for name in self._names(value, place)]
        return _Size(1 + sum(it.values for it in parts), len(value) + sum(it.characters for it in parts))

    def _names(self, text: str, place: tuple[str, ...]) -> list[str]:
        names = _REFERENCE.findall(text)
        if text.count("${") != len(names) or not all(_KEY.fullmatch(it) or _ENVIRONMENT.fullmatch(it) for it in names):
            raise RunSpecError(
                f"{self.origin}: {'.'.join(place)}: {redacted(text)[:80]!r} is no reference that a RunSpec may hold; "
                "write ${key} or ${oc.env:NAME}"
            )
        return [name.strip() for name in names if _KEY.fullmatch(name)]

    def _named(self, name: str, place: tuple[str, ...]) -> _Size:
        """Return the size of what a reference names; nothing where it names nothing, which the resolver tells."""
        return self._below(_absolute(name, place), hops=0)

    def _below(self, path: tuple[str, ...], hops: int) -> _Size:
        value: Any = self.root
        for depth, step in enumerate(path):
            if isinstance(value, dict):
                value = next((part for key, part in value.items() if str(key) == step), None)
            elif isinstance(value, list) and step.isdecimal() and int(step[:9]) < len(value):
                value = value[int(step[:9])]
            elif isinstance(value, str):
                return self._through(value, path[:depth], path[depth:], hops)
            else:
                return _NOTHING
        return self.size(value, path)

    def _through(self, text: str, place: tuple[str, ...], rest: tuple[str, ...], hops: int) -> _Size:
        """Follow a path that goes on through a reference."""
        names = self._names(text, place)
        if len(names) != 1:
            return _NOTHING
        if hops > MAX_NODES // 100:
            return _ENDLESS
        return self._below((*_absolute(names[0], place), *rest), hops + 1)


def _absolute(name: str, place: tuple[str, ...]) -> tuple[str, ...]:
    """Return the path that a name means where it stands: each dot before it is a level up."""
    path = name.lstrip(".")
    levels = len(name) - len(path)
    above = place[: max(0, len(place) - levels)] if levels else ()
    return (*above, *(step for step in re.split(r"[.\[\]]", path) if step))
