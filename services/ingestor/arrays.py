"""The elements of a JSON array, cut out of its text few at a time: memory for those, however many there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

_SPACE = b" \t\r\n"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
# Rows without objects or arrays in them are most of all rows: many of them are one token, because tokens take the time.
_FLAT = rb'\{[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+\}'
_RUN = rb"(?:[ \t\r\n]*+" + _FLAT + rb"[ \t\r\n]*+,)++"
_BETWEEN = re.compile(_RUN + rb"|" + _FLAT + rb"|" + _STRING + rb'|[",\]\[{]', re.DOTALL)
_WITHIN = re.compile(_FLAT + rb"|" + _STRING + rb'|["\[\]{}]', re.DOTALL)
_QUOTED = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_QUOTE, _COMMA = b'",'
_OPEN = b"[{"


class ArrayFault(ValueError):
    """The text is no JSON array; `offset` is the byte at which that shows."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset


class NotUtf8(ArrayFault):
    """The byte at `offset` is none of UTF-8's."""


class Part(NamedTuple):
    """One element of an array, or some small ones with the commas between them, as they are written.

    Attributes
    ----------
    begin : int
        Byte of the array's text at which it begins, white space before it counted in.
    text : bytes
        Its text; the beginning of it where one element is longer than what is kept.
    size : int
        Bytes that it really has.
    """

    begin: int
    text: bytes
    size: int

    @property
    def is_cut(self) -> bool:
        """Whether `text` is only the beginning of one element."""
        return self.size > len(self.text)

    def values(self) -> list[Any]:
        """Return the values of the elements.

        Raises
        ------
        ArrayFault
            Where the text is not one or more values of JSON.
        """
        values = self._parsed(b"]")
        if not values:
            raise ArrayFault(self.begin + self.size, "a value was expected")
        return values

    def grown(self, more: bytes, longest: int) -> Part:
        """Return this part with `more` after it, of which at most `longest` bytes are kept in all."""
        text = self.text + more[: longest - len(self.text)] if len(self.text) < longest else self.text
        return Part(self.begin, text, self.size + len(more))

    def refuse(self) -> None:
        """Raise `ArrayFault`: the array ends within this part."""
        if not self.is_cut:
            self._parsed(b"")
        raise ArrayFault(self.begin + self.size, "unexpected end of data")

    def _parsed(self, after: bytes) -> list[Any]:
        try:
            values: list[Any] = orjson.loads(b"[" + self.text + after)
        except orjson.JSONDecodeError as error:
            try:
                self.text.decode()
            except UnicodeDecodeError as undecodable:
                raise NotUtf8(self.begin + undecodable.start, undecodable.reason) from error
            raise ArrayFault(self.begin - 1 + len(error.doc[: error.pos].encode()), error.msg) from error
        return values


def parts(pieces: Iterable[bytes], longest: int) -> Iterator[Part]:
    """Yield the array whose text comes in `pieces` part by part; nothing where that is only white space.

    What lies around the parts is checked, they themselves are not: see `Part.values`.

    Parameters
    ----------
    pieces : iterable of bytes
        The text; it may be cut into pieces anywhere. A part of several elements lies within one of them.
    longest : int
        Bytes of one part that are kept; more than a piece has.

    Raises
    ------
    ArrayFault
        Where the text is no array, is cut, or goes on after the array's end.
    """
    rest = iter(pieces)
    begin, piece = _opened(rest)
    part, borders, is_first = Part(begin, b"", 0), _Borders(), True
    while piece:
        start = 0
        for end in borders.ends(piece):
            part = part.grown(piece[start:end], longest)
            is_last = piece[end] != _COMMA
            if not (is_first and is_last and not part.text.strip(_SPACE)):
                yield part
            start, begin, is_first = end + 1, part.begin + part.size + 1, False
            if is_last:
                _check_end(begin, piece[start:], rest)
                return
            part = Part(begin, b"", 0)
        part = part.grown(piece[start:], longest)
        piece = next(rest, b"")
    if begin:
        part.refuse()


def _opened(pieces: Iterator[bytes]) -> tuple[int, bytes]:
    """Return where the first element begins and the piece from there on; (0, nothing) for an empty text."""
    offset = 0
    for piece in pieces:
        text = piece.lstrip(_SPACE)
        offset += len(piece) - len(text)
        if text:
            if not text.startswith(b"["):
                raise ArrayFault(
                    offset, f"an array of objects was expected, which begins with '[' and not {text[:1]!r}"
                )
            return offset + 1, text[1:] or next(pieces, b"")
    return 0, b""


def _check_end(offset: int, piece: bytes, pieces: Iterator[bytes]) -> None:
    while True:
        if text := piece.lstrip(_SPACE):
            raise ArrayFault(offset + len(piece) - len(text), "unexpected content after document")
        offset += len(piece)
        if not (piece := next(pieces, b"")):
            return


class _Borders:
    """Finds where elements end in the pieces of an array's text, after its opening bracket."""

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def ends(self, piece: bytes) -> Iterator[int]:
        """Yield places of commas between elements, and that of the bracket after the last of them."""
        at = 0
        while at < len(piece):
            if self._quoted:
                at = self._after_quoted(piece, at)
                continue
            found = (_WITHIN if self._depth else _BETWEEN).search(piece, at)
            if found is None:
                return
            at = found.end()
            if self._is_border(piece[at - 1], whole=at - found.start() > 1):
                yield at - 1

    def _is_border(self, last: int, *, whole: bool) -> bool:
        """Take in a token by its last byte; a `whole` one is a text, a flat object, or a run of these with commas."""
        if whole:
            return last == _COMMA
        if last == _QUOTE:
            self._quoted = True
        elif last in _OPEN:
            self._depth += 1
        elif self._depth:
            self._depth -= 1
        else:
            return True
        return False

    def _after_quoted(self, piece: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        at = _QUOTED.match(piece, at).end()  # type: ignore[union-attr]
        if at < len(piece):
            self._quoted = piece[at] != _QUOTE
            self._escaped = self._quoted
        return at + 1
