"""Rows out of JSONL, JSON arrays, CSV and Parquet, resumable at any row."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any, BinaryIO, cast

import orjson

from services.ingestor.arrays import ArrayFault, NotUtf8, Part, parts
from services.ingestor.sources import Row, SourceError, Unit, Unreadable

MAX_LINE_BYTES = 16 << 20
MAX_ARRAY_BYTES = 64 << 20
# Three characters of text, such as `{},`, may become a hundred bytes of objects.
MAX_ROW_PARTS = 1 << 20
_SKIP_BYTES = 1 << 20
PARQUET_ROWS = 1000
_READ_BYTES = 1 << 20
_PARQUET = (".parquet", ".pq")
_PIECE_BYTES = 256 << 10
_SHOWN = 300
_BOM = b"\xef\xbb\xbf"
# In UTF-8 every byte of a character but its first.
_CONTINUED = bytes(range(0x80, 0xC0))

Reader = Callable[[BinaryIO, Unit, int, int], Iterator[Row]]


def may_swell(name: str) -> bool:
    """Whether a small file of this name may hold one value of gigabytes, so that it is to be read apart."""
    return name.lower().removesuffix(".gz").endswith(_PARQUET)


def format_of(name: str) -> str:
    """Return the format that a file's extension names, `.gz` after it understood; `other` where it names none."""
    plain = name.lower().removesuffix(".gz")
    known = (extension for extensions in _READERS for extension in extensions)
    return next((extension[1:] for extension in known if plain.endswith(extension)), "other")


def reader_of(name: str, batch: int = PARQUET_ROWS) -> Reader:
    """Return the reader for a file's extension; `.gz` after it is understood.

    Parameters
    ----------
    batch : int
        Rows of Parquet that are unpacked together.

    Raises
    ------
    SourceError
        When no format has that extension.
    """
    plain = name.lower()
    packed = plain.endswith(".gz")
    plain = plain.removesuffix(".gz")
    for extensions, reader in _READERS.items():
        if plain.endswith(extensions):
            chosen = partial(read_parquet, batch=batch) if reader is read_parquet else reader
            return _unpacked(chosen) if packed else chosen
    known = ", ".join(extension for extensions in _READERS for extension in extensions)
    raise SourceError(f"{name!r} has no known extension; known: {known} (each also with .gz)")


def _unpacked(reader: Reader) -> Reader:
    def read(stream: BinaryIO, unit: Unit, position: int, number: int) -> Iterator[Row]:
        try:
            yield from reader(cast(BinaryIO, gzip.GzipFile(fileobj=stream)), unit, position, number)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SourceError(f"{unit.name!r} is no whole gzip file: {error}") from error

    return read


def read_lines(stream: BinaryIO, unit: Unit, position: int, number: int) -> Iterator[Row]:  # noqa: ARG001
    """Yield JSONL rows; the position is the byte offset, the number the physical line. Blank lines are no rows."""
    stream.seek(max(0, position - 1))
    if position and stream.read(1) != b"\n":
        position = yield from _rest_of_line(stream, position, number)
    passed = 0
    while line := stream.readline(MAX_LINE_BYTES):
        position += len(line)
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            yield Row(number, position, None, line, f"the line has more than the {MAX_LINE_BYTES} bytes that are read")
            position = yield from _rest_of_line(stream, position, number + 1)
        elif line.isspace():
            passed += len(line)
        else:
            text = (line.removeprefix(_BOM) if number == 0 else line).rstrip(b"\r\n")
            yield _json_row(number, position, text)
        number += 1
        if passed >= _SKIP_BYTES:
            yield Row(number, position, None, b"", passed=passed)
            passed = 0


def _rest_of_line(stream: BinaryIO, position: int, number: int) -> Generator[Row, None, int]:
    """Pass over what is left of a line, which may be all of a file; return where the next one begins."""
    while piece := stream.readline(_SKIP_BYTES):
        position += len(piece)
        if piece.endswith(b"\n"):
            break
        yield Row(number, position, None, b"", passed=len(piece))
    return position


def _too_many_parts(text: bytes) -> str | None:
    """Return why a text of JSON is not to be parsed, whose values would take many times its memory."""
    if len(text) <= MAX_ROW_PARTS:
        return None
    parts_of_it = sum(map(text.count, (b"{", b"[", b",", b":")))
    if parts_of_it <= MAX_ROW_PARTS:
        return None
    return f"the row has {parts_of_it} brackets, commas and colons; at most {MAX_ROW_PARTS} are read"


def _json_row(number: int, after: int, text: bytes) -> Row:
    refusal = _too_many_parts(text)
    if refusal is not None:
        return Row(number, after, None, text, refusal)
    try:
        return Row(number, after, orjson.loads(text), text)
    except orjson.JSONDecodeError as error:
        return Row(number, after, None, text, _json_fault(text, error))


def _json_fault(text: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text.decode()
    except UnicodeDecodeError as undecodable:
        return f"not UTF-8: {undecodable.reason} at byte {undecodable.start}"
    return f"broken JSON: {error}"


def read_array(stream: BinaryIO, unit: Unit, position: int, number: int) -> Iterator[Row]:  # noqa: ARG001
    """Yield the elements of a JSON array; the position is the element's number.

    An array is read twice, so that one that is broken gives no row, and of none is more than a part in memory.
    """
    if unit.size > MAX_ARRAY_BYTES:
        raise SourceError(f"{unit.name!r} has {unit.size} bytes; a JSON array may have {MAX_ARRAY_BYTES}: use JSONL")
    deque(_array_parts(stream, unit), maxlen=0)
    at = 0
    for part, values in _array_parts(stream, unit):
        error = _refusal(part)
        if error is not None and at >= position:
            yield Row(at, at + 1, None, part.text, error)
        for here in range(max(position, at), at + len(values)):
            yield Row(here, here + 1, values[here - at], b"")
        at += len(values) + (error is not None)
        # The next part is made while these names would still hold this one.
        del part, values


def _refusal(part: Part) -> str | None:
    """Return why an element of an array is not to be parsed."""
    if part.is_cut:
        return f"the element has {part.size} bytes; at most {MAX_LINE_BYTES} are read"
    # What holds several elements is one piece, and short.
    return _too_many_parts(part.text)


def _array_parts(stream: BinaryIO, unit: Unit) -> Iterator[tuple[Part, list[Any]]]:
    """Yield the parts of an array from its beginning, each with its values; none for one that is refused."""
    try:
        for part in parts(_array_text(stream, unit), MAX_LINE_BYTES):
            yield part, [] if _refusal(part) is not None else part.values()
    except NotUtf8 as fault:
        raise SourceError(f"{unit.name!r}: not UTF-8: {fault} at byte {fault.offset}") from fault
    except ArrayFault as fault:
        place = _place(_array_text(stream, unit), fault.offset)
        raise SourceError(f"{unit.name!r}: broken JSON: {fault}: {place}") from fault


def _array_text(stream: BinaryIO, unit: Unit) -> Iterator[bytes]:
    """Yield the text from its beginning, without the mark of its byte order."""
    stream.seek(0)
    if stream.read(len(_BOM)) != _BOM:
        stream.seek(0)
    size = 0
    while piece := stream.read(_PIECE_BYTES):
        size += len(piece)
        if size > MAX_ARRAY_BYTES:
            raise SourceError(
                f"{unit.name!r} unpacks to more than {MAX_ARRAY_BYTES} bytes, a JSON array's bound: use JSONL"
            )
        yield piece


def _place(pieces: Iterator[bytes], offset: int) -> str:
    """Return the line, column and character of a byte, as a parser of the whole text would."""
    line, column, character = 1, 1, 0
    for piece in pieces:
        text = piece[:offset]
        offset -= len(text)
        lines = text.split(b"\n")
        line += len(lines) - 1
        column = _characters(lines[-1]) + (column if len(lines) == 1 else 1)
        character += _characters(text)
    return f"line {line} column {column} (char {character})"


def _characters(text: bytes) -> int:
    return len(text.translate(None, _CONTINUED))


class _Lines:
    """Lines of a CSV file, remembered until the record that they form is complete."""

    def __init__(self, stream: BinaryIO) -> None:
        self._text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
        # Of a few characters each, the lines as they come would take many times their text.
        self._taken = bytearray()
        self._commas = 0
        self._is_within = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(MAX_LINE_BYTES)
        if not line:
            raise StopIteration
        self._taken += line.encode("utf-8", "surrogateescape")
        self._commas += line.count(",")
        if len(line) == MAX_LINE_BYTES and not line.endswith("\n"):
            self._is_within = True
            raise csv.Error(f"a line is longer than {MAX_LINE_BYTES} characters")
        if len(self._taken) > MAX_LINE_BYTES:
            raise csv.Error(
                f"a record of several lines is longer than {MAX_LINE_BYTES} bytes; does a quote lack its end?"
            )
        if self._commas > MAX_ROW_PARTS:
            raise csv.Error(f"a record has {self._commas} commas; at most {MAX_ROW_PARTS} are read")
        return line

    def record(self) -> bytes:
        """Return the bytes of the last record."""
        record, self._taken, self._commas = bytes(self._taken[:MAX_LINE_BYTES]), bytearray(), 0
        return record

    def pass_over(self) -> int:
        """Pass over some of what is left of a line that is too long; return how much, 0 where nothing is left."""
        if not self._is_within:
            return 0
        more = self._text.readline(_SKIP_BYTES)
        self._is_within = bool(more) and not more.endswith("\n")
        return len(more)


def read_csv(stream: BinaryIO, unit: Unit, position: int, number: int) -> Iterator[Row]:  # noqa: ARG001
    """Yield CSV records under the header's names; the position is the record's number."""
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = _Lines(stream)
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, None)
    except csv.Error as fault:
        raise SourceError(f"{unit.name!r} has no readable header: {fault}") from fault
    lines.record()
    if header is None:
        return
    at = passed = 0
    while True:
        error: str | None = None
        fields: list[str] = []
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            error = f"broken CSV: {fault}"
        original = lines.record()
        is_row = bool(fields) or error is not None
        if is_row and at >= position:
            yield _csv_row(at, header, fields, original, error)
        else:
            passed += len(original)
        at += is_row
        while rest := lines.pass_over():
            yield _pause(max(at, position), rest)
        if passed >= _SKIP_BYTES:
            yield _pause(max(at, position), passed)
            passed = 0


def _pause(at: int, passed: int) -> Row:
    return Row(at, at, None, b"", passed=passed)


def _csv_row(at: int, header: list[str], fields: list[str], original: bytes, error: str | None) -> Row:
    if error is None and len(fields) != len(header):
        error = f"the record has {len(fields)} fields, the header {len(header)}"
    if error is None and not original.isascii():
        try:
            original.decode()
        except UnicodeDecodeError as fault:
            error = f"not UTF-8: {fault.reason} at byte {fault.start}"
    return Row(at, at + 1, None if error else dict(zip(header, fields, strict=True)), original, error)


def read_parquet(
    stream: BinaryIO,
    unit: Unit,
    position: int,
    number: int,  # noqa: ARG001
    batch: int = PARQUET_ROWS,
) -> Iterator[Row]:
    """Yield Parquet rows; the position is the row's number. Row groups before it are not read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.PythonFile(stream, mode="r"), buffer_size=_READ_BYTES)
        first, groups = _groups_from(file.metadata, position)
        for rows in file.iter_batches(batch_size=batch, row_groups=groups, use_threads=False):
            last = first + rows.num_rows
            if last > position:
                skipped = max(0, position - first)
                yield from _parquet_rows(rows.slice(skipped), first + skipped)
            first = last
    except (MemoryError, ConnectionError, TimeoutError):
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        # Arrow's own have no number: one that has comes from where the file lies.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise SourceError(f"{unit.name!r} is no readable Parquet file: {error}") from error


def _groups_from(metadata: Any, position: int) -> tuple[int, list[int]]:
    first, group = 0, 0
    while group < metadata.num_row_groups and first + metadata.row_group(group).num_rows <= position:
        first += metadata.row_group(group).num_rows
        group += 1
    return first, list(range(group, metadata.num_row_groups))


def _parquet_rows(batch: Any, first: int) -> Iterator[Row]:
    names = batch.schema.names
    try:
        columns = [_parquet_values(column) for column in batch.columns]
    except UnicodeDecodeError:
        yield from _parquet_rows_one_by_one(batch, first)
        return
    for at, values in enumerate(zip(*columns, strict=True), first):
        yield Row(at, at + 1, dict(zip(names, values, strict=True)), b"")


def _parquet_values(column: Any) -> list[Any]:
    """Return the values of a column; a value that Python has no object for is `Unreadable` and costs nothing else."""
    try:
        values: list[Any] = column.to_pylist()
    except (MemoryError, UnicodeDecodeError):
        raise
    except Exception:  # noqa: BLE001 - a date, a duration or a zone beyond what Python knows raises one of many things
        return [_parquet_value(value) for value in column]
    return values


def _parquet_value(value: Any) -> Any:
    try:
        return value.as_py()
    except (MemoryError, UnicodeDecodeError):
        raise
    except Exception as error:  # noqa: BLE001 - as above, for one value
        return Unreadable(f"a value of type {value.type}: {error}"[:_SHOWN])


def _parquet_rows_one_by_one(batch: Any, first: int) -> Iterator[Row]:
    import pyarrow as pa

    for offset in range(batch.num_rows):
        row = batch.slice(offset, 1)
        at = first + offset
        try:
            values = [_parquet_values(column)[0] for column in row.columns]
            yield Row(at, at + 1, dict(zip(batch.schema.names, values, strict=True)), b"")
        except UnicodeDecodeError as error:
            texts = [
                column.cast(pa.binary())[0].as_py() or b"" for column in row.columns if pa.types.is_string(column.type)
            ]
            yield Row(at, at + 1, None, b"\n".join(texts), f"not UTF-8: {error.reason} at byte {error.start}")


_READERS: dict[tuple[str, ...], Reader] = {
    (".jsonl", ".ndjson"): read_lines,
    (".json",): read_array,
    (".csv",): read_csv,
    _PARQUET: read_parquet,
}
