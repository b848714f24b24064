"""Plain data between a program and its tests, as JSON: nothing that crosses can lie about itself on the other side."""

from __future__ import annotations

import collections
import functools
import importlib
import json
import os
import struct
from collections.abc import Callable, Iterable
from typing import Any

PEER = 3
_HEAD = struct.Struct("!I")
_MOST_BYTES = 8 << 20
_DEEPEST = 150
_EXACT_AS_JSON = 1 << 53
_LISTS: dict[str, Callable[[Iterable[Any]], Any]] = {
    "l": list, "t": tuple, "s": set, "z": frozenset, "q": collections.deque,
}  # fmt: skip
_TEXTS: dict[str, Callable[[str], Any]] = {
    "i": lambda text: int(text, 16),
    "f": float.fromhex,
    "b": bytes.fromhex,
    "a": bytearray.fromhex,
}
# Types of modules that most programs never import, nor this one before it meets a value of them.
_COLLECTIONS: tuple[tuple[str, Any], ...] = (
    ("l", list),
    ("t", tuple),
    ("s", set),
    ("z", frozenset),
    ("q", collections.deque),
)
_DICTS: dict[str, type[dict[Any, Any]]] = {"Counter": collections.Counter, "OrderedDict": collections.OrderedDict}
_NAMED = {("decimal", "Decimal"), ("fractions", "Fraction"), ("datetime", "date"), ("datetime", "datetime"),
          ("datetime", "time"), ("datetime", "timedelta")}  # fmt: skip
TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset, dict, object, range)
}


class CannotCross(Exception):
    """A value that has no plain form, is too deep or too large."""


class Ended(Exception):
    """The other side is gone, or speaks nonsense."""


def send(message: Any) -> None:
    """Write one message.

    Raises
    ------
    CannotCross
        When it is too large.
    Ended
        When nobody reads.
    """
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    if len(body) > _MOST_BYTES:
        raise CannotCross(f"{len(body)} bytes, at most {_MOST_BYTES} cross")
    view = memoryview(_HEAD.pack(len(body)) + body)
    try:
        while view:
            view = view[os.write(PEER, view) :]
    except OSError as error:
        raise Ended(str(error)) from error


def receive() -> Any:
    """Read one message.

    Raises
    ------
    Ended
        At the end of the stream, and for what is no message.
    """
    (size,) = _HEAD.unpack(_exactly(_HEAD.size))
    if size > _MOST_BYTES:
        raise Ended(f"a message of {size} bytes")
    try:
        return json.loads(_exactly(size))
    except (ValueError, RecursionError) as error:
        raise Ended(f"no message: {error}") from error


def _exactly(size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        try:
            piece = os.read(PEER, size - len(pieces))
        except OSError as error:
            raise Ended(str(error)) from error
        if not piece:
            raise Ended("the stream ended")
        pieces += piece
    return bytes(pieces)


def encoded(value: Any, other: Callable[[Any], Any], depth: int = 0) -> Any:  # noqa: PLR0911 - one for each type
    """Return the plain form of a value; an instance of a subclass of a plain type has the form of its plain value.

    Parameters
    ----------
    value : object
    other : callable
        Gives the form of whatever is no plain value.
    depth : int
        How deep the value lies in another.

    Raises
    ------
    CannotCross
        When it is nested too deep, or is refused by `other`.
    """
    if value is None or value is True or value is False:
        return value
    if depth > _DEEPEST:
        raise CannotCross(f"nested deeper than {_DEEPEST}")
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        number = int.__add__(value, 0)
        return number if -_EXACT_AS_JSON < number < _EXACT_AS_JSON else ["i", hex(number)]
    if isinstance(value, float):
        return ["f", float.hex(value)]
    if isinstance(value, dict):
        pairs = [[encoded(key, other, depth + 1), encoded(each, other, depth + 1)] for key, each in dict.items(value)]
        return ["d", pairs, *_kind_of_dict(value)]
    if isinstance(value, tuple) and (fields := _fields(value)) is not None:
        items = [encoded(each, other, depth + 1) for each in tuple.__iter__(value)]
        return ["n", type(value).__name__, fields, items]
    for tag, kind in _COLLECTIONS:
        if isinstance(value, kind):
            return [tag, [encoded(each, other, depth + 1) for each in kind.__iter__(value)]]
    return _scalar(value, other)


def _kind_of_dict(value: dict[Any, Any]) -> list[str]:
    """Return what more than a dict it is: a Counter, an OrderedDict, or a defaultdict of a built-in type."""
    if isinstance(value, collections.defaultdict):
        return [name for name, kind in TYPES.items() if kind is value.default_factory]
    return [name for name, kind in _DICTS.items() if isinstance(value, kind)]


def _dict_of(pairs: dict[Any, Any], kind: str) -> dict[Any, Any]:
    return collections.defaultdict(TYPES[kind], pairs) if kind in TYPES else _DICTS[kind](pairs)


def _fields(value: tuple[Any, ...]) -> list[str] | None:
    """Return the names of a named tuple's items; None where it is none."""
    fields = getattr(type(value), "_fields", None)
    if not isinstance(fields, tuple) or not fields or len(fields) != tuple.__len__(value):
        return None
    plain = all(type(name) is str and not name.startswith("_") for name in fields)
    return [*fields] if plain else None


def _scalar(value: Any, other: Callable[[Any], Any]) -> Any:
    kind: type = type(value)
    if kind is complex:
        return ["c", value.real.hex(), value.imag.hex()]
    if kind in {bytes, bytearray}:
        return ["b" if kind is bytes else "a", value.hex()]
    if (kind.__module__, kind.__name__) in _NAMED:
        return ["named", kind.__module__, kind.__name__, _named_text(value)]
    if kind is range:
        return ["range", *(encoded(each, other) for each in (value.start, value.stop, value.step))]
    for name, known in TYPES.items():
        if known is value:
            return ["type", name]
    return other(value)


def decoded(form: Any, other: Callable[[list[Any]], Any]) -> Any:
    """Return the value of a plain form, made of exact built-in types.

    Parameters
    ----------
    form : object
    other : callable
        Gives the value of a form that is no plain value's.

    Raises
    ------
    Ended
        When it is no form.
    """
    if not isinstance(form, list):
        if form is None or isinstance(form, bool | int | float | str):
            return form
        raise Ended("no plain form")
    try:
        return _decoded_list(form, other)
    except (ValueError, TypeError, IndexError, KeyError, ArithmeticError, RecursionError) as error:
        raise Ended(f"no plain form: {type(error).__name__}") from error


def _decoded_list(form: list[Any], other: Callable[[list[Any]], Any]) -> Any:  # noqa: PLR0911 - one for each tag
    tag = form[0]
    if tag in _LISTS:
        return _LISTS[tag]([decoded(each, other) for each in form[1]])
    if tag == "d":
        pairs = {decoded(key, other): decoded(each, other) for key, each in form[1]}
        return _dict_of(pairs, form[2]) if len(form) > 2 else pairs
    if tag in _TEXTS:
        return _TEXTS[tag](form[1])
    if tag == "n":
        # Its names are checked by `namedtuple`, and none of them can be special.
        return _named_tuple(str(form[1]), tuple(form[2]))(*(decoded(each, other) for each in form[3]))
    if tag == "c":
        return complex(float.fromhex(form[1]), float.fromhex(form[2]))
    if tag == "named":
        return _named(str(form[1]), str(form[2]), form[3])
    if tag == "range":
        return range(*(decoded(each, other) for each in form[1:]))
    return TYPES[form[1]] if tag == "type" else other(form)


@functools.cache
def _named_tuple(name: str, fields: tuple[str, ...]) -> Any:
    return collections.namedtuple(name, fields)


def _named_text(value: Any) -> Any:
    name = type(value).__name__
    if name == "timedelta":
        return [value.days, value.seconds, value.microseconds]
    return str(value) if name in {"Decimal", "Fraction"} else value.isoformat()


def _named(module: str, name: str, text: Any) -> Any:
    if (module, name) not in _NAMED:
        raise ValueError(name)
    kind = getattr(importlib.import_module(module), name)
    if name == "timedelta":
        return kind(*(int(each) for each in text))
    return kind(text) if name in {"Decimal", "Fraction"} else kind.fromisoformat(text)
